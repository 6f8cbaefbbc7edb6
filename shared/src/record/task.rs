//! What a record says of the task that it asks for: `ce_task` names the module, the rest says how.
//!
//! A record of kind `task` is one to run. A record of kind `notification` with `ce_task` is one to enrich: the executor
//! appends what is to be delivered as a record without.

use std::time::Duration;

use bytes::Bytes;

use super::headers::{MalformedRecord, Notes};
use super::{Kind, encode};
use crate::log::{Entry, Headers};
use crate::notification::Notification;
use crate::task::{Enrichment, ModuleRef, OnTimeout, Order, Origin, TaskCode};

pub(super) const TASK: &str = "ce_task";
const CODE: &str = "ce_taskcode";
const ORIGIN: &str = "ce_taskorigin";
const PROGRESS: &str = "ce_taskprogress";
const SCHEDULE: &str = "ce_taskschedule";
const DEADLINE: &str = "ce_taskdeadline";
const ON_TIMEOUT: &str = "ce_tasktimeout";

/// Longest name of a schedule, in bytes.
const MAX_SCHEDULE_BYTES: usize = 128;

/// The record that asks for a task with `input`.
#[must_use]
pub fn encode_order(input: &Notification, order: &Order) -> Entry {
    let mut entry = encode(input);
    entry.headers.retain(|(name, _value)| name != super::headers::KIND);
    let text = |value: &str| Bytes::copy_from_slice(value.as_bytes());
    entry.headers.push((super::headers::KIND.into(), Bytes::from_static(b"task")));
    entry.headers.push((TASK.into(), text(&order.module.to_string())));
    entry.headers.push((ORIGIN.into(), text(order.origin.as_str())));
    if order.progress {
        entry.headers.push((PROGRESS.into(), Bytes::from_static(b"true")));
    }
    let optional = [(CODE, order.code.as_ref().map(TaskCode::as_str)), (SCHEDULE, order.schedule.as_deref())];
    entry.headers.extend(optional.into_iter().filter_map(|(name, value)| Some((name.into(), text(value?)))));
    entry
}

/// The record of a notification that is to be enriched first.
#[must_use]
pub fn encode_enrichment(notification: &Notification, enrichment: &Enrichment) -> Entry {
    let mut entry = encode(notification);
    let millis = enrichment.deadline.as_millis().to_string();
    entry.headers.push((TASK.into(), enrichment.module.to_string().into()));
    entry.headers.push((DEADLINE.into(), millis.into()));
    entry.headers.push((ON_TIMEOUT.into(), Bytes::from_static(enrichment.on_timeout.as_str().as_bytes())));
    entry
}

/// Whether this header makes a record one of [`Kind::Task`], unless an earlier one of its name says otherwise.
#[must_use]
pub fn is_order(name: &str, value: &[u8]) -> bool {
    name == super::headers::KIND && value == b"task"
}

/// Whether this header names the module of a task, which every record of [`Kind::Enrichment`] has.
#[must_use]
pub fn names_module(name: &str) -> bool {
    name == TASK
}

/// Reads what a record of [`Kind::Task`] asks for.
///
/// # Errors
/// Names the header that is missing or breaks its grammar.
pub fn order(headers: &Headers) -> Result<Order, MalformedRecord> {
    let notes = Notes(headers);
    let code = notes.get(CODE)?.map(TaskCode::parse).transpose();
    let origin = match notes.get(ORIGIN)? {
        None => Origin::default(),
        Some(word) => Origin::parse(word)
            .ok_or_else(|| MalformedRecord::Value(ORIGIN, "is not api, record or schedule".into()))?,
    };
    let schedule = notes.get(SCHEDULE)?;
    if schedule.is_some_and(|name| name.is_empty() || name.len() > MAX_SCHEDULE_BYTES) {
        return Err(MalformedRecord::Value(SCHEDULE, format!("is not 1 to {MAX_SCHEDULE_BYTES} bytes long")));
    }
    Ok(Order {
        module: module(notes)?,
        code: code.map_err(|error| MalformedRecord::Name(CODE, error))?,
        origin,
        progress: notes.get(PROGRESS)? == Some("true"),
        schedule: schedule.map(str::to_owned),
    })
}

/// Reads what a record of [`Kind::Enrichment`] asks for.
///
/// # Errors
/// Names the header that is missing or breaks its grammar.
pub fn enrichment(headers: &Headers) -> Result<Enrichment, MalformedRecord> {
    let notes = Notes(headers);
    let most = Enrichment::MAX_DEADLINE;
    let deadline = match notes.get(DEADLINE)? {
        None => Enrichment::DEFAULT_DEADLINE,
        Some(_) => Duration::from_millis(notes.number(DEADLINE)?),
    };
    if deadline.is_zero() || deadline > most {
        return Err(MalformedRecord::Value(DEADLINE, format!("is not 1 to {} ms", most.as_millis())));
    }
    let on_timeout = match notes.get(ON_TIMEOUT)? {
        None => OnTimeout::default(),
        Some(word) => OnTimeout::parse(word).ok_or_else(|| {
            MalformedRecord::Value(ON_TIMEOUT, "is not deliver_plain, retry or dead_letter".into())
        })?,
    };
    Ok(Enrichment { module: module(notes)?, deadline, on_timeout })
}

fn module(notes: Notes<'_>) -> Result<ModuleRef, MalformedRecord> {
    ModuleRef::parse(notes.need(TASK)?).map_err(|error| MalformedRecord::Name(TASK, error))
}

/// What `kind` is once it is known whether the record names a module.
pub(super) const fn kind(stated: Kind, names_module: bool) -> Kind {
    match (stated, names_module) {
        (Kind::Notification, true) => Kind::Enrichment,
        (kind, _) => kind,
    }
}
