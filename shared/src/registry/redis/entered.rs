//! The registrations that Redis remembers: a stream, trimmed at its old end. An entry is found again by its id, which
//! says the time and so is never that of an entry made after everything was lost. While the entry that was read last is
//! there, none behind it is missing.

use redis::{Cmd, Pipeline};

use super::super::entered::REMEMBERED;
use super::super::{Entered, Error, Fingerprint, Mark};
use super::connection::Connection;
use crate::recipient::Recipient;

/// The field of an entry that holds fingerprints.
const FIELD: &str = "r";
/// Most entries read at a time; with more of them nothing that is remembered is worth sorting out.
const MOST: usize = 1000;
/// Stands before every entry.
const BEGIN: &str = "0-0";

/// An entry: its id, and its field beside what that holds.
type Entry = (String, Vec<(String, Vec<u8>)>);

/// The command that notes registrations.
pub(super) fn tell<'a>(key: &str, recipients: impl Iterator<Item = &'a Recipient>) -> Cmd {
    let packed: Vec<u8> = recipients.flat_map(|recipient| Fingerprint::of(recipient).pack()).collect();
    let mut command = redis::cmd("XADD");
    command.arg(key).arg("MAXLEN").arg("~").arg(REMEMBERED).arg("*").arg(FIELD).arg(packed);
    command
}

/// What was noted behind `since`.
pub(super) async fn read(connection: &Connection, key: &str, since: &Mark) -> Result<(Entered, Mark), Error> {
    if let Some(last) = &since.0 {
        let mut range = redis::cmd("XRANGE");
        range.arg(key).arg(last).arg("+").arg("COUNT").arg(MOST);
        let entries = ask(connection, range).await?;
        if let Some(entered) = behind(&entries, last) {
            let last = entries.last().map_or(last, |(id, _)| id);
            return Ok((entered, Mark(Some(last.clone()))));
        }
    }
    let mut end = redis::cmd("XREVRANGE");
    end.arg(key).arg("+").arg("-").arg("COUNT").arg(1);
    let last = ask(connection, end).await?.pop().map_or_else(|| BEGIN.to_owned(), |(id, _)| id);
    Ok((Entered::Any, Mark(Some(last))))
}

async fn ask(connection: &Connection, command: Cmd) -> Result<Vec<Entry>, Error> {
    let mut pipeline = Pipeline::new();
    pipeline.add_command(command);
    let (entries,): (Vec<Entry>,) = connection.send(&pipeline).await?;
    Ok(entries)
}

/// What stands in `entries` behind the one with the id `last`; `None` when some may be missing.
fn behind(entries: &[Entry], last: &str) -> Option<Entered> {
    let fresh = match entries {
        [(first, _), fresh @ ..] if first == last => fresh,
        [] if last == BEGIN => &[],
        _ => return None,
    };
    let fields = fresh.iter().flat_map(|(_, fields)| fields);
    (entries.len() < MOST)
        .then(|| Entered::of(fields.flat_map(|(_, packed)| Fingerprint::unpack(packed)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str) -> Entry {
        (id.to_owned(), vec![(FIELD.to_owned(), vec![0; 8])])
    }

    #[test]
    fn entries_count_only_behind_the_one_that_was_read_last() {
        assert_eq!(behind(&[entry("1-1")], "1-1"), Some(Entered::of(Vec::new())));
        assert!(
            matches!(behind(&[entry("1-1"), entry("1-2")], "1-1"), Some(Entered::Of(fresh)) if fresh.len() == 1)
        );
        assert_eq!(behind(&[], BEGIN), Some(Entered::of(Vec::new())));
    }

    #[test]
    fn what_may_be_missing_is_noticed() {
        assert_eq!(behind(&[], "1-1"), None, "everything was lost");
        assert_eq!(behind(&[entry("1-2")], "1-1"), None, "trimmed, or begun anew");
        assert_eq!(behind(&[entry("1-1")], BEGIN), None, "begun since, and perhaps trimmed");
        assert_eq!(behind(&vec![entry("1-1"); MOST], "1-1"), None, "there may be more");
    }
}
