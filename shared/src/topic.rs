//! The topics of the pipeline, their names, and which partition a key belongs to.

use crate::position::{Epoch, PartitionId};

/// How much larger than a record its copy on `parked` or `dead` may be, in bytes: the copy also says where the record
/// stood and why it is there (some 100 bytes, and for a dead letter a sentence).
pub const COPY_BYTES: usize = 4 * 1024;

/// A topic. All have the same number of partitions and the same partitioner, so a key's partition is the same in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// What was accepted.
    Notifications,
    /// What could not be delivered at once, on its way to the store.
    Parked,
    /// What never can be delivered, on its way to the store.
    Dead,
    /// What became of records, for whoever asks.
    Outcomes,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Notifications, Self::Parked, Self::Dead, Self::Outcomes];

    /// The largest record that this topic takes, in bytes, where `max_record_bytes` is the largest that may be
    /// published: whatever was published can be parked and dead-lettered whole.
    #[must_use]
    pub const fn most_bytes(self, max_record_bytes: usize) -> usize {
        match self {
            Self::Notifications => max_record_bytes,
            Self::Parked | Self::Dead | Self::Outcomes => max_record_bytes + COPY_BYTES,
        }
    }

    /// The name without prefix and generation.
    #[must_use]
    pub const fn stem(self) -> &'static str {
        match self {
            Self::Notifications => "notifications",
            Self::Parked => "notifications.parked",
            Self::Dead => "notifications.dead",
            Self::Outcomes => "outcomes",
        }
    }

    /// The name on the broker: prefix and stem, and from the second generation on `.g2`, `.g3`, …
    #[must_use]
    pub fn name(self, prefix: &str, epoch: Epoch) -> String {
        match epoch.0 {
            0 | 1 => format!("{prefix}{}", self.stem()),
            generation => format!("{prefix}{}.g{generation}", self.stem()),
        }
    }
}

/// The partition of `key` among `partitions`: murmur2 as the Java client and librdkafka's `murmur2_random` compute it,
/// so that producers in other languages agree.
///
/// # Panics
/// Never: `partitions` of zero is read as one.
#[must_use]
pub fn partition_of(key: &[u8], partitions: u32) -> PartitionId {
    PartitionId((murmur2(key) & 0x7fff_ffff) % partitions.max(1))
}

/// A key of `partition` among `partitions`, for records that belong to a partition and to no recipient.
#[must_use]
pub fn key_of(partition: PartitionId, partitions: u32) -> String {
    let keys = (0_u64..).map(|number| format!("partition-{partition}-{number}"));
    let mut own = keys.filter(|key| partition_of(key.as_bytes(), partitions) == partition);
    // Every partition below `partitions` has keys; one that is not there has none, and is not looked for.
    if partition.0 < partitions { own.next().unwrap_or_default() } else { String::new() }
}

/// MurmurHash2, 32 bit, seed 0x9747b28c, as Apache Kafka's `Utils.murmur2`.
fn murmur2(bytes: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    let mut hash = SEED ^ (bytes.len() as u32);
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let tail = words.remainder();
    if !tail.is_empty() {
        for (index, byte) in tail.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of Apache Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn murmur2_agrees_with_apache_kafka() {
        let known: [(&str, i32); 7] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
            ("", 275_646_681),
        ];
        for (key, hash) in known {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key:?}");
        }
    }

    #[test]
    fn a_key_of_a_partition_is_found_for_each() {
        for partitions in [1, 2, 12, 97, 500] {
            for partition in (0..partitions).map(PartitionId) {
                assert_eq!(partition_of(key_of(partition, partitions).as_bytes(), partitions), partition);
            }
        }
    }

    #[test]
    fn a_later_generation_has_names_of_its_own() {
        assert_eq!(Topic::Parked.name("eu.", Epoch(1)), "eu.notifications.parked");
        assert_eq!(Topic::Parked.name("eu.", Epoch(3)), "eu.notifications.parked.g3");
    }
}
