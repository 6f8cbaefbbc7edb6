//! Tasks in Postgres: `runs` for the executors, `review` for whoever looks at them, `rows` what both read and keep,
//! `told` their histories.
//!
//! What may become of a task is decided outside the engine. Rows are read, decided about, and kept only if all of them
//! still are as they were read; if not, that is done again. So no lock outlives a statement, and of two who want the same
//! task at once one is first.

mod review;
mod rows;
mod runs;
mod told;
