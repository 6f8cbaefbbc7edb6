//! What the sweep owes a session, by what the registry says of its recipient. Pure; [`super::sweep`] asks it for every
//! session that does not drain already.

use shared::registry::{Flag, FlagReading};

/// Whether to poke, and how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owed {
    /// The flag is clean and the progress known: nothing is left.
    Nothing,
    /// Something may be stored below the offset.
    Poke {
        /// How far to drain.
        parked_upto: u64,
    },
    /// The registry does not know, or is away: a poke as far as the store is archived, which is what a session can drain
    /// now without waiting for an engine that is away.
    WhatIsArchived,
}

/// Decides; `None`: the registry is away.
#[must_use]
pub const fn owed(reading: Option<FlagReading>) -> Owed {
    match reading {
        Some(FlagReading { flag: Flag::Clean, flagged_upto: Some(_), .. }) => Owed::Nothing,
        Some(FlagReading { flagged_upto: Some(parked_upto), .. }) => Owed::Poke { parked_upto },
        Some(FlagReading { flagged_upto: None, .. }) | None => Owed::WhatIsArchived,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clean_flag_with_its_progress_owes_nothing() {
        let reading = |flag, flagged_upto| Some(FlagReading { flag, version: 3, flagged_upto });
        assert_eq!(owed(reading(Flag::Clean, Some(7))), Owed::Nothing);
        assert_eq!(owed(reading(Flag::Backlog, Some(7))), Owed::Poke { parked_upto: 7 });
        assert_eq!(owed(reading(Flag::Unknown, Some(7))), Owed::Poke { parked_upto: 7 });
        assert_eq!(owed(reading(Flag::Clean, None)), Owed::WhatIsArchived);
        assert_eq!(owed(None), Owed::WhatIsArchived);
    }
}
