//! The only place that writes for people: results on standard output, everything else on standard error.

use std::fmt::Display;
use std::io::{self, Write as _};

/// A line of the command's result.
///
/// # Errors
/// When standard output is closed: whoever read it has enough.
pub(super) fn line(text: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// A remark beside the result.
pub(super) fn note(text: impl Display) {
    // A closed standard error leaves nobody to tell.
    let _unheard = writeln!(io::stderr().lock(), "{text}");
}

/// A line of named things: harmless, and each named one in its column.
///
/// # Errors
/// As [`line`].
pub(super) fn field(name: &str, value: impl Display) -> io::Result<()> {
    line(format_args!("{name:<14}{}", harmless(&value.to_string())))
}

/// A line of cells between tabs; what is not there is a dash.
///
/// # Errors
/// As [`line`].
pub(super) fn cells(cells: &[Option<&str>]) -> io::Result<()> {
    let cell = |cell: &Option<&str>| harmless(cell.unwrap_or("-")).replace(['\n', '\t'], " ");
    line(cells.iter().map(cell).collect::<Vec<_>>().join("\t"))
}

/// `text` without what would steer a terminal: notifications are written by others.
pub(super) fn harmless(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\t' => safe.push(character),
            steering if steering.is_control() => safe.extend(steering.escape_default()),
            plain => safe.push(plain),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_steered() {
        assert_eq!(harmless("a\tb\n\u{1b}[2J\u{9b}é"), "a\tb\n\\u{1b}[2J\\u{9b}é");
    }
}
