//! Words that name nothing here.

/// Words that mean too many things to name anything with; the glossary has better ones.
pub(crate) const BANNED: [&str; 12] = [
    "message",
    "job",
    "user",
    "queue",
    "manager",
    "handler",
    "processor",
    "helper",
    "info",
    "util",
    "misc",
    "common",
];
