//! What a unit costs: the figures of `coefficients.toml`, each with its unit and where it comes from. A file of the
//! user's replaces those that it names.

use serde::{Deserialize, Serialize};
use toml::Table;

/// What is committed.
const COMMITTED: &str = include_str!("coefficients.toml");

/// One figure.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Coefficient {
    pub(crate) value: f64,
    pub(crate) unit: String,
    pub(crate) source: Source,
    /// What was measured, or why this was assumed.
    pub(crate) what: String,
    /// What measures it again; empty where nothing does.
    #[serde(default)]
    pub(crate) command: String,
    /// What it was measured on; empty where nothing was.
    #[serde(default)]
    pub(crate) commit: String,
}

/// How well a figure is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// On Postrider, by the command.
    Measured,
    /// On the engine or library alone, without Postrider: ours is not below it.
    Floor,
    /// By those who make the engine.
    Published,
    /// Follows from the code.
    Counted,
    /// By nobody.
    Assumed,
}

impl Source {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Floor => "floor",
            Self::Published => "published",
            Self::Counted => "counted",
            Self::Assumed => "assumed",
        }
    }
}

/// Why a file of coefficients cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    /// Not TOML.
    #[error("is not TOML: {0}")]
    Toml(#[source] Box<toml::de::Error>),
    /// A coefficient that is missing, unknown, or not written as one.
    #[error("{0}")]
    Shape(#[source] Box<toml::de::Error>),
    /// A value that nothing can be computed with.
    #[error("{name}: value must be a number from 0 on, above 0 for a divisor, not {value}")]
    Value {
        /// Which.
        name: &'static str,
        /// What stands there.
        value: f64,
    },
    /// Another unit than the arithmetic has.
    #[error("{name}: unit must be \"{expected}\", not \"{unit}\"")]
    Unit {
        /// Which.
        name: &'static str,
        /// What the arithmetic has.
        expected: &'static str,
        /// What stands there.
        unit: String,
    },
}

/// Whether something is divided by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Factor,
    Divisor,
}

macro_rules! coefficients {
    ($($name:ident: $unit:literal $role:ident,)*) => {
        /// All of them.
        #[derive(Clone, Debug, Deserialize, Serialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct Coefficients {
            $(pub(crate) $name: Coefficient,)*
        }

        impl Coefficients {
            /// Each with its name, in the order of the file.
            pub(crate) fn all(&self) -> Vec<(&'static str, &Coefficient)> {
                vec![$((stringify!($name), &self.$name),)*]
            }

            fn check(&self) -> Result<(), Unusable> {
                $(check(stringify!($name), &self.$name, $unit, Role::$role)?;)*
                Ok(())
            }
        }
    };
}

coefficients! {
    receiver_single: "us" Factor,
    receiver_batched: "us" Factor,
    request: "B" Factor,
    request_item: "B" Factor,
    record_overhead: "B" Factor,
    record_stored: "B" Factor,
    outcome: "B" Factor,
    kafka_single: "us" Factor,
    kafka_batched: "us" Factor,
    kafka_copy_share: "1" Factor,
    kafka_end: "us" Factor,
    kafka_process: "B" Factor,
    kafka_cached: "s" Factor,
    kafka_partition: "B/s" Divisor,
    kafka_broker_replicas: "1" Divisor,
    director: "us" Factor,
    archiver_row: "us" Factor,
    remembered_route: "B" Factor,
    redis_read: "us" Factor,
    redis_write: "us" Factor,
    redis_news: "us" Factor,
    redis_news_read: "us" Factor,
    redis_client: "B" Factor,
    redis_overhead: "1" Factor,
    distributor_delivery: "us" Factor,
    distributor_acknowledgement: "us" Factor,
    distributor_drained: "us" Factor,
    connection_idle: "us/s" Factor,
    connection_handshake: "us" Factor,
    connection_memory: "B" Factor,
    connection_kernel: "B" Factor,
    frame_overhead: "B" Factor,
    acknowledgement: "B" Factor,
    tls_handshake: "us" Factor,
    tls_record: "us" Factor,
    tls_connection: "B" Factor,
    postgres_rows: "1/s" Divisor,
    postgres_drains: "1/s" Divisor,
    postgres_deletes: "1/s" Divisor,
    postgres_transaction: "us" Factor,
    postgres_row: "B" Factor,
    postgres_written: "1" Factor,
    postgres_cached: "1" Factor,
    executor_skip: "us" Factor,
    executor_task: "us" Factor,
    process_base: "B" Factor,
}

fn check(
    name: &'static str,
    coefficient: &Coefficient,
    expected: &'static str,
    role: Role,
) -> Result<(), Unusable> {
    let Coefficient { value, unit, .. } = coefficient;
    if unit != expected {
        return Err(Unusable::Unit { name, expected, unit: unit.clone() });
    }
    let usable = value.is_finite() && *value >= 0.0 && (role == Role::Factor || *value > 0.0);
    if usable { Ok(()) } else { Err(Unusable::Value { name, value: *value }) }
}

impl Coefficients {
    /// Those that are committed.
    ///
    /// # Errors
    /// Never for a file that the tests have seen.
    pub(crate) fn committed() -> Result<Self, Unusable> {
        Self::with("")
    }

    /// Those that are committed, but for the ones that `file` names.
    ///
    /// # Errors
    /// Names what cannot be used.
    pub(crate) fn with(file: &str) -> Result<Self, Unusable> {
        let parse = |text: &str| text.parse::<Table>().map_err(|error| Unusable::Toml(Box::new(error)));
        let mut table = parse(COMMITTED)?;
        table.extend(parse(file)?);
        let read: Self = table.try_into().map_err(|error| Unusable::Shape(Box::new(error)))?;
        read.check().map(|()| read)
    }
}

impl Coefficient {
    /// Microseconds as seconds.
    pub(crate) fn seconds(&self) -> f64 {
        self.value / 1e6
    }
}
