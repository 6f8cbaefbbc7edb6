//! What is to be appended for a schedule that is due. Pure.

use std::time::Duration;

use shared::InvalidName;
use shared::clock::Timestamp;
use shared::log::Entry;
use shared::notification::{MAX_TTL, Notification, NotificationId, Trace};
use shared::record::{self, Kind, MalformedRecord};
use shared::store::ScheduleRow;
use shared::task::timing::Timing;
use shared::task::{Invalid, Order, Origin};

/// One time at which a schedule fires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Firing {
    /// The time.
    pub(super) time: Timestamp,
    /// Whether nobody could fire then.
    pub(super) missed: bool,
    /// The record that asks for its task.
    pub(super) record: Entry,
}

/// What is to be done about a schedule that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// What fires, ascending.
    pub(super) firings: Vec<Firing>,
    /// Whether other times were missed and do not fire.
    pub(super) skipped: bool,
    /// Whether the schedule can never fire as it is.
    pub(super) broken: bool,
    /// When it fires next.
    pub(super) next: Option<Timestamp>,
}

/// Why a schedule can never fire as it stands in the store.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("its settings cannot be read")]
    Settings(#[source] Invalid),
    #[error("its record cannot be read")]
    Record(#[source] MalformedRecord),
    #[error("its record asks for no task")]
    NoTask,
    #[error("its record is of another tenant")]
    Tenant,
    #[error("no id can be made of its name")]
    Name(#[source] InvalidName),
}

/// Plans what fires of `schedule` at `now`; a time that lies back further than `grace` was missed.
pub(super) fn plan(schedule: &ScheduleRow, now: Timestamp, grace: Duration) -> Result<Plan, Broken> {
    let timing = Timing::parse(&schedule.settings).map_err(Broken::Settings)?;
    let due = timing.due(schedule.next.unwrap_or(now), now, grace);
    let (template, order) = template(schedule)?;
    let firing = |time: Timestamp| {
        let record = record_at(&template, &order, schedule, time, now)?;
        Ok(Firing { time, missed: time < now.before(grace), record })
    };
    let firings = due.times.into_iter().map(firing).collect::<Result<_, Broken>>()?;
    Ok(Plan { firings, skipped: due.skipped, broken: false, next: due.next })
}

/// What the schedule's record says.
fn template(schedule: &ScheduleRow) -> Result<(Notification, Order), Broken> {
    let (kind, notification) = record::decode(&schedule.record).map_err(Broken::Record)?;
    match kind {
        Kind::Task => {}
        Kind::Notification | Kind::Enrichment => return Err(Broken::NoTask),
    }
    if notification.recipient.tenant != schedule.tenant {
        return Err(Broken::Tenant);
    }
    let order = record::task::order(&schedule.record.headers).map_err(Broken::Record)?;
    let of = Some(schedule.name.to_string());
    Ok((notification, Order { origin: Origin::Schedule, schedule: of, ..order }))
}

/// The record for `time`. It lives as long as the template does, from now on.
fn record_at(
    template: &Notification,
    order: &Order,
    schedule: &ScheduleRow,
    time: Timestamp,
    now: Timestamp,
) -> Result<Entry, Broken> {
    let id = format!("schedule:{}:{time}", schedule.name);
    let input = Notification {
        id: NotificationId::parse(&id).map_err(Broken::Name)?,
        time: now,
        expires: now.after(template.expires.since(template.time).min(MAX_TTL)),
        // That of whoever put the schedule there would grow with each time.
        trace: Trace::default(),
        ..template.clone()
    };
    Ok(record::task::encode_order(&input, order))
}
