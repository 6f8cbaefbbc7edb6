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
    /// The registry does not know of the recipient, or is away: a poke as far as the store is archived, which is what a
    /// session can drain now without waiting for an engine that is away.
    WhatIsArchived,
}

/// Decides; `None`: the registry is away.
///
/// What was parked for others is not owed: a session that is poked further than something was parked for its recipient
/// would keep back what is new until the store has proved that nothing was, and the store may be away.
#[must_use]
pub fn owed(reading: Option<FlagReading>) -> Owed {
    let Some(FlagReading { flag, version, flagged_upto: Some(flagged_upto) }) = reading else {
        return Owed::WhatIsArchived;
    };
    match flag {
        Flag::Clean => Owed::Nothing,
        Flag::Backlog => Owed::Poke { parked_upto: version.min(flagged_upto) },
        Flag::Unknown => Owed::WhatIsArchived,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clean_flag_with_its_progress_owes_nothing() {
        let reading = |flag, flagged_upto| Some(FlagReading { flag, version: 3, flagged_upto });
        assert_eq!(owed(reading(Flag::Clean, Some(7))), Owed::Nothing);
        assert_eq!(owed(reading(Flag::Backlog, Some(2))), Owed::Poke { parked_upto: 2 });
        assert_eq!(owed(reading(Flag::Clean, None)), Owed::WhatIsArchived);
        assert_eq!(owed(reading(Flag::Backlog, None)), Owed::WhatIsArchived);
        assert_eq!(owed(None), Owed::WhatIsArchived);
    }

    #[test]
    fn what_was_parked_for_others_is_not_owed() {
        let reading = |flag, version| Some(FlagReading { flag, version, flagged_upto: Some(7) });
        assert_eq!(owed(reading(Flag::Backlog, 3)), Owed::Poke { parked_upto: 3 });
        assert_eq!(owed(reading(Flag::Unknown, 0)), Owed::WhatIsArchived);
    }
}
