//! Tasks in SQLite: `runs` for the executors, `review` for whoever looks at them, `rows` what both read and keep.

mod review;
mod rows;
mod runs;
