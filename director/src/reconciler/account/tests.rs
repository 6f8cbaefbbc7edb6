//! A log with directors that tell the truth and ones that do not, and an account that is made again now and then.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const POSITIONS: u64 = 60;

#[derive(Clone, Debug)]
enum Step {
    /// A record of a topic tells of an end, or of several.
    End(usize, Vec<u64>),
    /// The directors say that everything below has ended; it may be a lie.
    Commit(u64),
    /// The directors commit as far as they may.
    CommitHonestly,
    Look,
    /// The account is lost, and made again from its last checkpoint.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..WITNESSES, prop::collection::vec(0..POSITIONS, 1..6)).prop_map(|(witness, ended)| Step::End(witness, ended)),
        1 => (0..POSITIONS).prop_map(Step::Commit),
        4 => Just(Step::CommitHonestly),
        6 => Just(Step::Look),
        2 => Just(Step::Restart),
    ]
}

#[derive(Default)]
struct World {
    topics: [Vec<Vec<u64>>; WITNESSES],
    committed: u64,
}

impl World {
    fn ended(&self) -> BTreeSet<u64> {
        self.topics.iter().flatten().flatten().copied().collect()
    }

    fn truly_unaccounted(&self) -> BTreeSet<u64> {
        let ended = self.ended();
        (0..self.committed).filter(|offset| !ended.contains(offset)).collect()
    }

    /// Looks as often as the window makes necessary.
    fn look(&self, account: &mut Account, saved: &mut Checkpoint, now: Instant) {
        while account.upto() < self.committed {
            self.look_once(account, saved, now);
        }
        self.look_once(account, saved, now);
    }

    fn look_once(&self, account: &mut Account, saved: &mut Checkpoint, now: Instant) {
        for (witness, records) in self.topics.iter().enumerate() {
            while let Some(ended) = records.get(account.place(witness) as usize) {
                let _explained = account.take(witness, account.place(witness), ended);
            }
        }
        let upto = account.judgeable(self.committed);
        let missing = account.open(upto, usize::MAX);
        account.judge(&Verdicts { missing, upto }, now);
        if let Some(checkpoint) = account.checkpoint() {
            assert!(checkpoint.upto >= saved.upto, "a checkpoint never goes back");
            *saved = checkpoint;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn what_is_committed_without_an_end_is_unaccounted_and_nothing_else_whatever_restarts(
        most in 1_u64..80, steps in prop::collection::vec(step(), 0..120),
    ) {
        let (mut world, now) = (World::default(), Instant::now());
        let start = Checkpoint { upto: 0, places: [0; WITNESSES] };
        let (mut saved, mut account) = (start, Account::new(start, most));
        for step in steps.into_iter().chain([Step::Look, Step::Restart, Step::Look]) {
            match step {
                Step::End(witness, ended) => world.topics[witness].push(ended),
                Step::Commit(upto) => world.committed = world.committed.max(upto),
                Step::CommitHonestly => {
                    let ended = world.ended();
                    while ended.contains(&world.committed) {
                        world.committed += 1;
                    }
                }
                Step::Look => {
                    world.look(&mut account, &mut saved, now);
                    let found: BTreeSet<u64> = account.unaccounted.keys().copied().collect();
                    prop_assert_eq!(found, world.truly_unaccounted());
                }
                Step::Restart => account = Account::new(saved, most),
            }
        }
    }
}

#[test]
fn what_is_forgotten_is_no_longer_counted_and_no_longer_holds_the_checkpoint_back() {
    let now = Instant::now();
    let mut account = Account::new(Checkpoint { upto: 5, places: [0; WITNESSES] }, 100);
    account.judge(&Verdicts { missing: vec![6], upto: 8 }, now);
    assert_eq!((account.unaccounted(), account.checkpoint()), (1, None));
    assert!(account.forget(now - std::time::Duration::from_secs(1)).is_empty(), "not yet");
    assert_eq!(account.forget(now), [6]);
    assert_eq!(account.checkpoint().map(|checkpoint| checkpoint.upto), Some(8));
}

#[test]
fn an_end_that_comes_late_explains() {
    let mut account = Account::new(Checkpoint { upto: 0, places: [0; WITNESSES] }, 100);
    account.judge(&Verdicts { missing: vec![2], upto: 3 }, Instant::now());
    assert_eq!(account.take(1, 0, &[1, 2]), [2]);
    assert_eq!(account.unaccounted(), 0);
}
