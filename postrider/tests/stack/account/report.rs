//! What a scenario says at its end: a line for people, a line of JSON for the table, and, when it does not balance, what
//! is known of every notification that was lost.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::Account;
use crate::stack::ledger::Ledger;
use crate::stack::ledger::entry::{Entry, Line};

/// Lost ones that are told of in full.
const TOLD: usize = 10;
/// Lines of its recipient's client that are told of each.
const LINES: usize = 6;

/// The circumstances of an account.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    pub seed: u64,
    pub rate: u32,
    pub recipients: u32,
    /// Notifications that were not offered since too many were under way.
    pub held_back: u64,
    /// The peak of each process, by role.
    pub memory_bytes: BTreeMap<String, u64>,
    /// What the directors say of `postrider_unaccounted`, where there is such a metric.
    pub unaccounted: Option<f64>,
}

/// An account with its circumstances.
pub struct Report {
    pub account: Account,
    pub setting: Setting,
    name: String,
    ledger: PathBuf,
    /// What the ledger knows of those lost.
    known: String,
}

impl Report {
    /// Reads the ledger once more where something was lost.
    pub fn new(account: Account, setting: Setting, ledger: &Ledger) -> Self {
        // The harness names the thread of a test after it.
        let name = std::thread::current().name().unwrap_or("load").to_owned();
        let known = known_of(&account.lost, ledger);
        Self { account, setting, name, ledger: ledger.path().to_owned(), known }
    }

    /// Prints the account, appends its row to the file of `POSTRIDER_FAULT_ROWS`, and fails unless it balances.
    pub fn must_balance(&self) {
        let outcome = self.objections();
        eprintln!("{}", self.summary());
        self.write_row(outcome.is_empty());
        assert!(
            outcome.is_empty(),
            "{} does not balance:\n{outcome}{}\nthe whole ledger: {}",
            self.name,
            self.known,
            self.ledger.display()
        );
    }

    fn objections(&self) -> String {
        let Account { lost, findings, findings_left_out, accepted, .. } = &self.account;
        let mut text = String::new();
        if !lost.is_empty() {
            writeln!(text, "  lost: {} of {accepted} accepted", lost.len()).unwrap();
        }
        for finding in findings {
            writeln!(text, "  {finding}").unwrap();
        }
        if *findings_left_out > 0 {
            writeln!(text, "  and {findings_left_out} more findings").unwrap();
        }
        if let Some(unaccounted) = self.setting.unaccounted.filter(|count| *count != 0.0) {
            writeln!(text, "  postrider_unaccounted is {unaccounted}").unwrap();
        }
        text
    }

    fn summary(&self) -> String {
        let Account { asked, accepted, refused, unknown, appeared, ends, .. } = &self.account;
        let delays = &self.account.delays;
        format!(
            "{}: seed {}: asked {asked}, accepted {accepted}, refused {refused}, unknown {unknown} ({appeared} appeared), held \
             back {}\n  acknowledged {}, stored {}, expired {}, dead-lettered {}, lost {}; twice on the wire {}, shown twice \
             {}, of copies on the log {}\n  p50/p99 before {:.0?}/{:.0?}, during {:.0?}/{:.0?}, after {:.0?}/{:.0?}; longest {:.1?}; outage {:.1?}, \
             recovered in {}; memory {}",
            self.name,
            self.setting.seed,
            self.setting.held_back,
            ends.acknowledged,
            ends.stored,
            ends.expired,
            ends.dead_lettered,
            self.account.lost.len(),
            self.account.wire_duplicates,
            self.account.shown_duplicates,
            self.account.copies,
            delays.before.p50,
            delays.before.p99,
            delays.during.p50,
            delays.during.p99,
            delays.after.p50,
            delays.after.p99,
            delays.longest(),
            delays.outage,
            delays.recovered_in.map_or("?".to_owned(), |time| format!("{time:.1?}")),
            self.memory(),
        )
    }

    fn memory(&self) -> String {
        let of = |(role, bytes): (&String, &u64)| format!("{role} {} MiB", bytes >> 20);
        self.setting.memory_bytes.iter().map(of).collect::<Vec<_>>().join(", ")
    }

    fn write_row(&self, is_good: bool) {
        let Some(path) = environment("POSTRIDER_FAULT_ROWS") else { return };
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        // One write a row, so that scenarios side by side do not mix theirs.
        file.write_all(format!("{}\n", self.row(is_good)).as_bytes()).unwrap();
    }

    fn row(&self, is_good: bool) -> Value {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let (account, delays) = (&self.account, &self.account.delays);
        json!({
            "name": self.name,
            "commit": environment("POSTRIDER_COMMIT"),
            "seed": self.setting.seed,
            "rate": self.setting.rate,
            "recipients": self.setting.recipients,
            "outage_ms": millis(delays.outage),
            "asked": account.asked,
            "accepted": account.accepted,
            "unknown": account.unknown,
            "appeared": account.appeared,
            "held_back": self.setting.held_back,
            "acknowledged": account.ends.acknowledged,
            "stored": account.ends.stored,
            "expired": account.ends.expired,
            "dead_lettered": account.ends.dead_lettered,
            "lost": account.lost.len(),
            "wire_duplicates": account.wire_duplicates,
            "shown_duplicates": account.shown_duplicates,
            "copies": account.copies,
            "longest_ms": millis(delays.longest()),
            "p99_before_ms": millis(delays.before.p99),
            "p99_during_ms": millis(delays.during.p99),
            "p99_after_ms": millis(delays.after.p99),
            "recovered_ms": delays.recovered_in.map(millis),
            "memory_bytes": self.setting.memory_bytes,
            "unaccounted": self.setting.unaccounted,
            "result": if is_good { "balanced" } else { "failed" },
        })
    }
}

fn environment(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "scripts/chaos tells where rows go by the environment")]
    std::env::var(name).ok()
}

/// The last that is known of each of `lost`: its own lines, and the last of its recipient's client.
fn known_of(lost: &[u64], ledger: &Ledger) -> String {
    let mut stories: BTreeMap<u64, (Vec<Line>, u32, Vec<Line>)> =
        lost.iter().take(TOLD).map(|attempt| (*attempt, (Vec::new(), u32::MAX, Vec::new()))).collect();
    if stories.is_empty() {
        return String::new();
    }
    ledger.read().each(|line| {
        let (attempt, recipient) = about(&line.entry);
        if let Some((own, whose, _)) = attempt.and_then(|attempt| stories.get_mut(&attempt)) {
            *whose = recipient.unwrap_or(*whose);
            own.push(line);
            return;
        }
        for (_, _, around) in stories.values_mut().filter(|(_, whose, _)| Some(*whose) == recipient) {
            if around.len() == LINES {
                around.remove(0);
            }
            around.push(line.clone());
        }
    });
    let mut text = String::new();
    for (attempt, (own, recipient, around)) in stories {
        writeln!(text, "try {attempt} to recipient {recipient}:").unwrap();
        own.iter().for_each(|line| writeln!(text, "    {line}").unwrap());
        writeln!(text, "  and the last of that recipient:").unwrap();
        around.iter().for_each(|line| writeln!(text, "    {line}").unwrap());
    }
    text
}

/// Which try and which recipient a line is about.
fn about(entry: &Entry) -> (Option<u64>, Option<u32>) {
    match entry {
        Entry::Asked { attempt, recipient, .. } => (Some(*attempt), Some(*recipient)),
        Entry::Answered { attempt, .. } => (Some(*attempt), None),
        Entry::Came { attempt, recipient, .. } => (*attempt, Some(*recipient)),
        Entry::Opened { recipient, .. }
        | Entry::Gap { recipient, .. }
        | Entry::Acknowledged { recipient, .. }
        | Entry::Refused { recipient, .. }
        | Entry::Closed { recipient, .. } => (None, Some(*recipient)),
    }
}
