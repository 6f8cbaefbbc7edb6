//! Which module enriches a notification: the one that its producer names, else the one that is bound to its type. Pure.

use std::time::Duration;

use shared::notification::NotificationType;
use shared::store::BindingRow;
use shared::task::{Enrichment, ModuleRef, OnTimeout};

use crate::refusal::{Reason, Refusal};

/// What a producer says of the module that is to enrich its notification, read but not judged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) module: String,
    pub(crate) deadline_ms: Option<u64>,
    pub(crate) on_timeout: Option<String>,
}

impl Asked {
    /// Judges it; it stands at `place` of the request.
    pub(crate) fn settle(&self, place: &str) -> Result<Enrichment, Refusal> {
        let module = module(&self.module).map_err(|refusal| refusal.at(format!("{place}/module")))?;
        let deadline =
            deadline(self.deadline_ms).map_err(|refusal| refusal.at(format!("{place}/deadline_ms")))?;
        let on_timeout = on_timeout(self.on_timeout.as_deref())
            .map_err(|refusal| refusal.at(format!("{place}/on_timeout")))?;
        Ok(Enrichment { module, deadline, on_timeout })
    }
}

/// Reads `name` or `name@version`.
pub(crate) fn module(text: &str) -> Result<ModuleRef, Refusal> {
    ModuleRef::parse(text)
        .map_err(|error| Refusal::new(Reason::TaskInvalid, format_args!("the module's name {error}")))
}

fn deadline(asked_ms: Option<u64>) -> Result<Duration, Refusal> {
    let most = Enrichment::MAX_DEADLINE;
    let deadline = asked_ms.map_or(Enrichment::DEFAULT_DEADLINE, Duration::from_millis);
    if deadline.is_zero() || deadline > most {
        let detail = format!("the deadline is 1 to {} ms", most.as_millis());
        return Err(Refusal::new(Reason::TaskInvalid, detail));
    }
    Ok(deadline)
}

fn on_timeout(word: Option<&str>) -> Result<OnTimeout, Refusal> {
    let Some(word) = word else { return Ok(OnTimeout::default()) };
    OnTimeout::parse(word).ok_or_else(|| {
        let words = OnTimeout::ALL.map(OnTimeout::as_str).join(", ");
        Refusal::new(Reason::TaskInvalid, format_args!("on_timeout is one of {words}"))
    })
}

/// The bindings of a tenant, in the order in which they are asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bound {
    /// Exact types first, then the longest beginnings; of two that are alike the first by name.
    ordered: Vec<BindingRow>,
}

impl Bound {
    pub(crate) fn of(mut rows: Vec<BindingRow>) -> Self {
        let rank = |row: &BindingRow| match row.kind.strip_suffix('*') {
            None => (0, 0),
            Some(beginning) => (1, usize::MAX - beginning.len()),
        };
        rows.sort_by(|one, other| rank(one).cmp(&rank(other)).then_with(|| one.name.cmp(&other.name)));
        Self { ordered: rows }
    }

    /// What is bound to `kind`.
    pub(crate) fn to(&self, kind: &NotificationType) -> Option<Enrichment> {
        let kind = kind.as_str();
        let fits = |row: &&BindingRow| match row.kind.strip_suffix('*') {
            None => row.kind == kind,
            Some(beginning) => kind.starts_with(beginning),
        };
        self.ordered.iter().find(fits).map(|row| Enrichment {
            module: row.module.clone(),
            deadline: row.deadline,
            on_timeout: row.on_timeout,
        })
    }
}

/// Checks what a binding may be bound to: a type, or the beginning of one and `*`.
pub(crate) fn pattern(text: &str) -> Result<(), Refusal> {
    let beginning = text.strip_suffix('*').unwrap_or(text);
    if text == "*" {
        return Ok(());
    }
    NotificationType::parse(beginning)
        .map(drop)
        .map_err(|error| Refusal::new(Reason::TypeInvalid, format_args!("the type {error}")))
}

#[cfg(test)]
mod tests {
    use shared::clock::Timestamp;
    use shared::recipient::TenantId;
    use shared::store::EntryName;

    use super::*;

    fn row(name: &str, kind: &str) -> BindingRow {
        BindingRow {
            tenant: TenantId::parse("acme").unwrap(),
            name: EntryName::parse(name).unwrap(),
            kind: kind.into(),
            module: ModuleRef::parse(name).unwrap(),
            deadline: Enrichment::DEFAULT_DEADLINE,
            on_timeout: OnTimeout::Retry,
            changed: Timestamp::default(),
        }
    }

    #[test]
    fn an_exact_type_comes_before_the_longest_beginning() {
        let bound = Bound::of(vec![
            row("all", "*"),
            row("order", "order.*"),
            row("shipped", "order.shipped"),
            row("ship", "order.sh*"),
            row("alike", "order.*"),
        ]);
        let to = |kind: &str| {
            bound.to(&NotificationType::parse(kind).unwrap()).map(|found| found.module.to_string())
        };
        for (kind, expected) in [
            ("order.shipped", "shipped"),
            ("order.shipped2", "ship"),
            ("order.paid", "alike"),
            ("order", "all"),
        ] {
            assert_eq!(to(kind).as_deref(), Some(expected), "{kind}");
        }
        assert!(Bound::default().to(&NotificationType::parse("order").unwrap()).is_none());
    }

    #[test]
    fn what_is_said_of_a_task_is_refused_one_beyond_its_limit() {
        let settle = |deadline_ms, on_timeout: Option<&str>| {
            let asked = Asked { module: "m".into(), deadline_ms, on_timeout: on_timeout.map(str::to_owned) };
            asked.settle("/task").map_err(|refusal| refusal.pointer.unwrap_or_default())
        };
        assert_eq!(settle(Some(60_000), Some("retry")).unwrap().on_timeout, OnTimeout::Retry);
        assert_eq!(settle(None, None).unwrap().deadline, Enrichment::DEFAULT_DEADLINE);
        assert_eq!(settle(Some(60_001), None).unwrap_err(), "/task/deadline_ms");
        assert_eq!(settle(Some(0), None).unwrap_err(), "/task/deadline_ms");
        assert_eq!(settle(None, Some("shrug")).unwrap_err(), "/task/on_timeout");
    }

    #[test]
    fn a_pattern_is_a_type_or_the_beginning_of_one() {
        for (text, is_sound) in
            [("a.b", true), ("a.*", true), ("*", true), ("", false), ("**", false), ("a*b", false)]
        {
            assert_eq!(pattern(text).is_ok(), is_sound, "{text}");
        }
    }
}
