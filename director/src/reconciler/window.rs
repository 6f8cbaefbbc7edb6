//! Which positions of a partition have an end, from the lowest that has none yet. Pure: one bit for each position, so
//! that a million positions under way are 128 KiB.

use std::collections::VecDeque;

/// Positions of one word.
const WORD: u64 = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Window {
    /// Everything below has an end, or was judged.
    base: u64,
    /// From the word of `base` on; a set bit is a position with an end.
    words: VecDeque<u64>,
    /// Above every position with an end.
    above: u64,
    most: u64,
}

/// What became of an end that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noted {
    /// It is noted.
    Within,
    /// Its position is behind the window.
    Below,
    /// Its position is further than the window reaches; it must be shown again later.
    Beyond,
}

impl Window {
    /// Nothing has an end from `base` on; reaches `most` positions.
    pub(super) fn new(base: u64, most: u64) -> Self {
        Self { base, words: VecDeque::new(), above: base, most }
    }

    /// Everything below has an end, or was judged.
    pub(super) fn base(&self) -> u64 {
        self.base
    }

    /// Above every position with an end.
    pub(super) fn above(&self) -> u64 {
        self.above
    }

    /// Above the last position that fits.
    pub(super) fn reach(&self) -> u64 {
        self.base.saturating_add(self.most)
    }

    /// The position at `offset` has an end.
    pub(super) fn note(&mut self, offset: u64) -> Noted {
        if offset < self.base {
            return Noted::Below;
        }
        if offset >= self.reach() {
            return Noted::Beyond;
        }
        // In reach, so it fits.
        let index = (offset / WORD - self.base / WORD) as usize;
        if index >= self.words.len() {
            self.words.resize(index + 1, 0);
        }
        self.words[index] |= 1 << (offset % WORD);
        self.above = self.above.max(offset + 1);
        Noted::Within
    }

    /// The lowest positions below `upto` that have no end, at most `limit`.
    pub(super) fn open(&self, upto: u64, limit: usize) -> Vec<u64> {
        let mut open = Vec::new();
        let mut offset = self.base;
        while offset < upto && open.len() < limit {
            let word = self.word(offset);
            // Whole words in one step: most are full.
            let skipped = u64::from((word >> (offset % WORD)).trailing_ones());
            if skipped > 0 {
                offset += skipped;
            } else {
                open.push(offset);
                offset += 1;
            }
        }
        open
    }

    fn word(&self, offset: u64) -> u64 {
        let index = offset / WORD - self.base / WORD;
        usize::try_from(index).ok().and_then(|index| self.words.get(index)).copied().unwrap_or(0)
    }

    /// Everything below `upto` is behind.
    pub(super) fn pass(&mut self, upto: u64) {
        if upto <= self.base {
            return;
        }
        let words = usize::try_from(upto / WORD - self.base / WORD).unwrap_or(usize::MAX);
        self.words.drain(..words.min(self.words.len()));
        self.base = upto;
        self.above = self.above.max(upto);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Note(u64),
        Pass(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![4 => (0_u64..700).prop_map(Step::Note), 1 => (0_u64..300).prop_map(Step::Pass)]
    }

    proptest! {
        #[test]
        fn a_window_knows_every_position_in_its_reach(
            start in 0_u64..200, most in 1_u64..400, limit in 1_usize..50, steps in prop::collection::vec(step(), 0..200),
        ) {
            let (mut window, mut ended, mut base) = (Window::new(start, most), BTreeSet::new(), start);
            for step in steps {
                match step {
                    Step::Note(offset) => {
                        let expected = if offset < base {
                            Noted::Below
                        } else if offset >= base + most {
                            Noted::Beyond
                        } else {
                            ended.insert(offset);
                            Noted::Within
                        };
                        prop_assert_eq!(window.note(offset), expected);
                    }
                    Step::Pass(by) => {
                        base = base.max(start + by);
                        window.pass(start + by);
                    }
                }
                prop_assert_eq!(window.base(), base);
                let upto = base + most / 2 + 70;
                let open: Vec<u64> = (base..upto).filter(|offset| !ended.contains(offset)).take(limit).collect();
                prop_assert_eq!(window.open(upto, limit), open);
                prop_assert!(ended.iter().all(|offset| *offset < window.above()));
                prop_assert!(window.words.len() as u64 <= most / WORD + 2, "bounded");
            }
        }
    }
}
