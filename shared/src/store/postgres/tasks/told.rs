//! Lines of histories on their way into Postgres, as columns of one statement: its first fifteen parameters.

use std::borrow::Cow;

use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;

use crate::store::columns::{millis, text};
use crate::store::task_columns::{measure, micros};
use crate::store::{TaskKey, TaskStep};

/// Binds `steps` to the first parameters of `query`.
pub(super) fn bind_steps<'q>(
    query: Query<'q, Postgres, PgArguments>,
    steps: &[(&TaskKey, TaskStep)],
) -> Query<'q, Postgres, PgArguments> {
    let column = |value: fn(&TaskStep) -> i64| steps.iter().map(|(_, step)| value(step)).collect::<Vec<_>>();
    let words = |value: fn(&TaskStep) -> Option<&str>| {
        let word = |step| value(step).map(text).map(Cow::into_owned);
        steps.iter().map(|(_, step)| word(step)).collect::<Vec<_>>()
    };
    let keys =
        |value: fn(&TaskKey) -> &str| steps.iter().map(|(key, _)| value(key).to_owned()).collect::<Vec<_>>();
    let digests: Vec<_> =
        steps.iter().map(|(_, step)| step.effort.ran.as_ref().map(|(_, digest)| digest.to_vec())).collect();
    query
        .bind(keys(|key| key.tenant.as_str()))
        .bind(keys(|key| key.id.as_str()))
        .bind(column(|step| step.number.into()))
        .bind(column(|step| millis(step.time)))
        .bind(words(|step| Some(step.state.as_str())))
        .bind(column(|step| step.attempt.into()))
        .bind(words(|step| step.by.as_deref()))
        .bind(words(|step| step.failure.as_deref()))
        .bind(words(|step| step.reason.as_deref()))
        .bind(words(|step| step.effort.ran.as_ref().map(|(version, _)| version.as_str())))
        .bind(digests)
        .bind(column(|step| micros(step.effort.took)))
        .bind(column(|step| measure(step.effort.fuel)))
        .bind(column(|step| measure(step.effort.memory_bytes)))
        .bind(words(|step| Some(&step.effort.log)))
}
