//! Routes that the registry told before, so that it need not be asked for every record. Pure.
//!
//! What is remembered is all that there was when the registry was asked last, as far as its [news](Entered) have been heard:
//! who is in them is forgotten. A question that is under way when its recipient is in them is answered out of date, and
//! that answer is not remembered. So a record that was sent by what is remembered was sent to every session that had
//! registered before it was taken, if the first news that were asked for after that do not name its recipient. Until they
//! are heard, the record has no [proof](super::entry::Proof), and does not end.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use shared::delivery::NodeId;
use shared::recipient::Recipient;
use shared::registry::{Entered, Fingerprint, Route};
use smallvec::SmallVec;

/// Routes of one recipient. Most have one device, or two.
pub(super) type Routes = SmallVec<[Route; 2]>;

/// How much is remembered.
#[derive(Clone, Copy, Debug)]
pub struct KnownLimits {
    /// Of so many recipients; zero: of none.
    pub recipients: usize,
    /// For so long. It bounds what a registry costs that forgets its news, as after a failover.
    pub keep: Duration,
}

#[derive(Debug)]
struct Told {
    recipient: Recipient,
    routes: Routes,
    since: Instant,
}

/// Questions of one recipient that are under way.
#[derive(Debug)]
struct Asked {
    fingerprint: Fingerprint,
    questions: u32,
    outdated: bool,
}

/// What an answer is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// All that there is.
    Current,
    /// All that there was when it was asked for; more came since.
    Outdated,
    /// Nothing: another question was put after it, and its answer is on its way.
    Nothing,
}

/// See the module. What was not asked for during a whole generation is forgotten first.
#[derive(Debug)]
pub(super) struct Known {
    limits: KnownLimits,
    young: HashMap<Fingerprint, Told>,
    old: HashMap<Fingerprint, Told>,
    asked: HashMap<Recipient, Asked>,
}

impl Known {
    pub(super) fn new(limits: KnownLimits) -> Self {
        Self { limits, young: HashMap::new(), old: HashMap::new(), asked: HashMap::new() }
    }

    /// What is remembered of `recipient`.
    pub(super) fn routes(&mut self, recipient: &Recipient, now: Instant) -> Option<Routes> {
        let fingerprint = Fingerprint::of(recipient);
        if !self.young.contains_key(&fingerprint) {
            let told = self.old.remove(&fingerprint)?;
            self.insert(fingerprint, told);
        }
        let told = self.young.get(&fingerprint).filter(|told| told.recipient == *recipient)?;
        if now.saturating_duration_since(told.since) < self.limits.keep {
            return Some(told.routes.clone());
        }
        self.young.remove(&fingerprint);
        None
    }

    /// A question is put to the registry.
    pub(super) fn asks(&mut self, recipient: &Recipient) {
        if let Some(asked) = self.asked.get_mut(recipient) {
            asked.questions += 1;
            asked.outdated = false;
            return;
        }
        let asked = Asked { fingerprint: Fingerprint::of(recipient), questions: 1, outdated: false };
        self.asked.insert(recipient.clone(), asked);
    }

    /// A question of `recipient` is answered, in whatever way.
    pub(super) fn answered(&mut self, recipient: &Recipient) -> Worth {
        let Some(asked) = self.asked.get_mut(recipient) else { return Worth::Current };
        asked.questions -= 1;
        if asked.questions > 0 {
            return Worth::Nothing;
        }
        let worth = if asked.outdated { Worth::Outdated } else { Worth::Current };
        self.asked.remove(recipient);
        worth
    }

    /// Remembers an answer that is current. That somebody is nowhere is not remembered: they may come at any time.
    pub(super) fn learn(&mut self, recipient: &Recipient, routes: &[Route], now: Instant) {
        let fingerprint = Fingerprint::of(recipient);
        self.forget_one(fingerprint);
        if !routes.is_empty() && self.limits.recipients > 0 {
            let told = Told { recipient: recipient.clone(), routes: routes.into(), since: now };
            self.insert(fingerprint, told);
        }
    }

    fn insert(&mut self, fingerprint: Fingerprint, told: Told) {
        if self.young.len() >= self.limits.recipients.div_ceil(2) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(fingerprint, told);
    }

    fn forget_one(&mut self, fingerprint: Fingerprint) {
        self.young.remove(&fingerprint);
        self.old.remove(&fingerprint);
    }

    /// Forgets one recipient, of whose routes one is wrong.
    pub(super) fn forget(&mut self, recipient: &Recipient) {
        self.forget_one(Fingerprint::of(recipient));
    }

    /// Forgets whoever has a session at `node`.
    pub(super) fn forget_node(&mut self, node: NodeId) {
        for told in [&mut self.young, &mut self.old] {
            told.retain(|_, told| told.routes.iter().all(|route| route.node != node));
        }
    }

    /// Hears news.
    pub(super) fn hear(&mut self, news: &Entered) {
        match news {
            Entered::Of(fingerprints) => fingerprints.iter().for_each(|print| self.forget_one(*print)),
            Entered::Any => {
                self.young.clear();
                self.old.clear();
            }
        }
        for asked in self.asked.values_mut().filter(|asked| news.may_be(asked.fingerprint)) {
            asked.outdated = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::delivery::SessionId;

    use super::*;

    const LIMITS: KnownLimits = KnownLimits { recipients: 4, keep: Duration::from_secs(10) };

    fn recipient(number: u64) -> Recipient {
        Recipient::parse_key(&format!("acme/r{number}")).unwrap()
    }

    fn route(session: u64, node: u64) -> Route {
        Route { session: SessionId(session), node: NodeId(node) }
    }

    fn knowing(recipients: std::ops::Range<u64>, now: Instant) -> Known {
        let mut known = Known::new(LIMITS);
        recipients.for_each(|number| known.learn(&recipient(number), &[route(number, number)], now));
        known
    }

    #[test]
    fn what_is_remembered_is_bounded_and_ends() {
        let now = Instant::now();
        let mut known = knowing(0..100, now);
        assert!(known.young.len() + known.old.len() <= LIMITS.recipients);
        assert!(known.routes(&recipient(99), now).is_some() && known.routes(&recipient(3), now).is_none());
        assert!(known.routes(&recipient(99), now + LIMITS.keep).is_none());
        let mut none = Known::new(KnownLimits { recipients: 0, ..LIMITS });
        none.learn(&recipient(1), &[route(1, 1)], now);
        assert!(none.routes(&recipient(1), now).is_none());
    }

    #[test]
    fn whoever_is_in_the_news_is_forgotten_and_nobody_else() {
        let now = Instant::now();
        let mut known = knowing(0..3, now);
        let other = Entered::Of(vec![Fingerprint::of(&recipient(1))]);
        known.hear(&other);
        assert!(known.routes(&recipient(0), now).is_some() && known.routes(&recipient(1), now).is_none());
        known.forget_node(NodeId(2));
        assert!(known.routes(&recipient(0), now).is_some() && known.routes(&recipient(2), now).is_none());
        known.hear(&Entered::Any);
        assert!(known.routes(&recipient(0), now).is_none());
    }

    #[test]
    fn an_answer_that_was_under_way_when_the_news_came_is_out_of_date() {
        let mut known = Known::new(LIMITS);
        known.asks(&recipient(1));
        known.asks(&recipient(2));
        known.hear(&Entered::Of(vec![Fingerprint::of(&recipient(1))]));
        assert_eq!(known.answered(&recipient(1)), Worth::Outdated);
        assert_eq!(known.answered(&recipient(2)), Worth::Current);
    }

    #[test]
    fn of_two_questions_the_last_answer_counts() {
        let mut known = Known::new(LIMITS);
        known.asks(&recipient(1));
        known.asks(&recipient(1));
        assert_eq!(known.answered(&recipient(1)), Worth::Nothing);
        assert_eq!(known.answered(&recipient(1)), Worth::Current);
    }
}
