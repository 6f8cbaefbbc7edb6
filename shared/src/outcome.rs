//! How a record ends. Every accepted record reaches exactly one end; only then may its offset be committed.

use crate::delivery::Rejection;

/// The end of a record on the live path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// A client acknowledged it.
    Acknowledged,
    /// It is durable on `parked`, on its way to the store.
    Parked,
    /// It was past its expiry.
    Expired,
    /// It is durable on `dead`.
    DeadLettered,
    /// It is for the executor, whose own groups keep it until it is done.
    HandedOver,
}

impl End {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Acknowledged, Self::Parked, Self::Expired, Self::DeadLettered, Self::HandedOver];

    /// The word in metrics and timelines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Acknowledged => "acknowledged",
            Self::Parked => "parked",
            Self::Expired => "expired",
            Self::DeadLettered => "dead_lettered",
            Self::HandedOver => "handed_over",
        }
    }
}

/// Why a record was parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParkReason {
    /// No session of its recipient is connected.
    Offline,
    /// Every session of its recipient is behind.
    Spilled,
    /// Delivery was tried as often, or for as long, as its urgency allows.
    Exhausted,
    /// The registry could not say where the recipient is.
    RegistryUnavailable,
    /// A record of the same recipient before it was parked.
    Behind,
    /// Its recipient, its tenant or its node had more than its share in flight.
    Crowded,
}

impl ParkReason {
    /// The word in headers and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Spilled => "spilled",
            Self::Exhausted => "exhausted",
            Self::RegistryUnavailable => "registry_unavailable",
            Self::Behind => "behind",
            Self::Crowded => "crowded",
        }
    }
}

/// Why a record can never be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeadReason {
    /// It does not parse; the text says what is wrong.
    Malformed(String),
    /// It stands in another partition than its key's, where no session would look for it.
    Misplaced,
    /// A client refused it.
    Rejected(Rejection),
    /// It is larger than what may be published, and with it than what the parts hand each other; the text says by how much.
    TooLarge(String),
    /// It asks for a task, which failed for good.
    Task {
        /// The failure's code, see `docs/TASKS.md`.
        code: &'static str,
        /// What more there is to say.
        detail: String,
    },
}

impl DeadReason {
    /// The stable code in headers, the store and metrics.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Misplaced => "misplaced",
            Self::Rejected(rejection) => rejection.as_str(),
            Self::TooLarge(_) => "too_large",
            Self::Task { code, .. } => code,
        }
    }

    /// What more there is to say, for a person.
    #[must_use]
    pub fn detail(&self) -> &str {
        match self {
            Self::Malformed(detail) | Self::TooLarge(detail) | Self::Task { detail, .. } => detail,
            Self::Misplaced => "the record stands in another partition than its key's",
            Self::Rejected(_) => "the client refused the notification",
        }
    }
}
