//! The suite that every adapter of the log passes. A test file of an adapter makes a [`Fixture`] on topics of its own
//! for each check and awaits it; [`log_contract!`](crate::log_contract) writes those tests.
//!
//! A check panics when the adapter breaks the contract, as tests do; nothing else calls this.

mod appending;
mod consuming;
mod groups;
mod reader;
mod reading;

pub use appending::*;
pub use consuming::*;
pub use groups::*;
pub use reading::*;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Appender, Commits, Ends, Entry, Lag, Placed, Reader, Subscriber};
use crate::position::PartitionId;
use crate::topic::{Topic, partition_of};

/// How long a check waits for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(45);

/// A log on empty topics of at least three partitions.
#[derive(Clone)]
pub struct Fixture {
    /// Appends to it.
    pub appender: Arc<dyn Appender>,
    /// Reads it.
    pub subscriber: Arc<dyn Subscriber>,
    /// Tells where it ends.
    pub ends: Arc<dyn Ends>,
    /// Reads it outside of groups.
    pub reader: Arc<dyn Reader>,
    /// Tells how far groups have come.
    pub commits: Arc<dyn Commits>,
    /// Tells how far behind they are.
    pub lag: Arc<dyn Lag>,
    /// The largest record that may be published on it.
    pub max_record_bytes: usize,
}

impl Fixture {
    /// The fixture of a log that is all the ports.
    #[must_use]
    pub fn of<L: Appender + Subscriber + Ends + Reader + Commits + Lag>(
        log: &Arc<L>,
        max_record_bytes: usize,
    ) -> Self {
        Self {
            appender: Arc::clone(log) as Arc<dyn Appender>,
            subscriber: Arc::clone(log) as Arc<dyn Subscriber>,
            ends: Arc::clone(log) as Arc<dyn Ends>,
            reader: Arc::clone(log) as Arc<dyn Reader>,
            commits: Arc::clone(log) as Arc<dyn Commits>,
            lag: Arc::clone(log) as Arc<dyn Lag>,
            max_record_bytes,
        }
    }

    /// A key of the partition.
    fn key_of(&self, partition: PartitionId) -> Bytes {
        (0..)
            .map(|number| Bytes::from(format!("tenant/recipient-{number}")))
            .find(|key| partition_of(key, self.ends.partitions()) == partition)
            .expect("every partition has keys")
    }

    /// Appends records with these payloads to one partition, one call.
    async fn append(&self, topic: Topic, partition: PartitionId, payloads: &[&str]) -> Vec<Placed> {
        let key = self.key_of(partition);
        let entries = payloads
            .iter()
            .map(|payload| Entry {
                key: key.clone(),
                headers: vec![("ce_id".into(), Bytes::from(format!("id-{payload}")))],
                payload: Bytes::from((*payload).to_owned()),
            })
            .collect();
        let answers = self.appender.append(topic, entries).await;
        answers.into_iter().map(|answer| answer.expect("an append on a healthy log succeeds")).collect()
    }

    fn partitions(&self) -> impl Iterator<Item = PartitionId> + use<> {
        (0..self.ends.partitions()).map(PartitionId)
    }
}

/// Writes a test for each check of the suite; the argument names an async function that makes a [`Fixture`] and what
/// must outlive it.
#[macro_export]
macro_rules! log_contract {
    ($fixture:path) => {
        $crate::log_contract!($fixture:
            answers_come_in_order_and_tell_where_records_stand
            a_key_has_the_same_partition_in_every_topic
            an_end_lies_above_everything_appended_before
            an_end_of_no_partition_is_rejected
            a_record_too_large_is_refused_and_its_neighbours_are_not
            a_record_at_the_limit_can_be_parked_and_dead_lettered_whole
            a_member_reads_everything_as_it_was_appended
            a_member_hears_of_new_records_soon
            what_is_of_no_interest_comes_bare_and_not_all_of_it
            a_group_resumes_exactly_where_it_finished
            what_is_not_finished_comes_again
            two_groups_do_not_see_each_other
            a_paused_partition_is_silent_until_resumed
            a_seek_reads_again_from_there
            a_seek_while_paused_counts_when_resumed
            controls_of_partitions_not_assigned_are_ignored
            a_second_member_shares_the_partitions_and_loses_nothing
            a_revoked_partition_waits_for_its_release
            a_member_that_leaves_gives_its_partitions_to_the_others
            what_was_appended_is_read_from_anywhere_to_anywhere
            many_partitions_are_read_at_once
            what_a_group_committed_is_told_from_outside
            a_group_that_nobody_joins_keeps_the_offsets_committed_for_it
            lag_is_what_stands_on_the_log_and_is_not_committed
        );
    };
    ($fixture:path: $($check:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                let (fixture, _alive) = $fixture().await;
                $crate::log::contract::$check(&fixture).await;
            }
        )*
    };
}
