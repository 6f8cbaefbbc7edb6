//! The pure core: from what a producer asked for to notifications, or to the reason why not. Time and ids are
//! arguments; nothing here waits or reads anything.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use shared::clock::Timestamp;
use shared::notification::{
    ContentType, MAX_TTL, Notification, NotificationId, NotificationType, Trace, Urgency,
};
use shared::recipient::{Recipient, RecipientId, TenantId};
use shared::task::Enrichment;

use crate::bound::{Asked, Bound};
use crate::config::Config;
use crate::content::{Content, settle, sound_json};
use crate::refusal::{Reason, Refusal};

/// What a producer asks for, read but not judged.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) to: To,
    pub(crate) kind: String,
    pub(crate) content: Content,
    pub(crate) content_type: Option<String>,
    pub(crate) ttl_s: Option<u64>,
    pub(crate) urgency: Option<String>,
    /// JSON text.
    pub(crate) metadata: Option<String>,
    /// The module that is to enrich it, if the producer names one.
    pub(crate) task: Option<Asked>,
}

/// Whom it is for.
#[derive(Clone, Debug)]
pub(crate) enum To {
    One(String),
    Several(Vec<String>),
}

/// What holds for every notification of a request.
#[derive(Clone, Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) trace: &'a Trace,
    pub(crate) now: Timestamp,
    pub(crate) config: &'a Config,
    /// What enriches notifications whose producer names no module.
    pub(crate) bound: &'a Bound,
}

/// What a record weighs besides content, metadata and trace: key, names, times and the names of its headers.
const RECORD_BYTES: usize = 512;

/// What one request may still become.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    records: usize,
    bytes: usize,
}

/// What was admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Admitted {
    pub(crate) what: What,
    /// What each of them is to become first.
    pub(crate) enriched: Option<Enriched>,
}

/// How notifications are to be enriched, and who said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Enriched {
    /// Their producer.
    Asked(Enrichment),
    /// A binding.
    Bound(Enrichment),
}

impl Enriched {
    /// How.
    pub(crate) const fn how(&self) -> &Enrichment {
        match self {
            Self::Asked(enrichment) | Self::Bound(enrichment) => enrichment,
        }
    }
}

/// One notification under the request's id, or one for each recipient under ids derived from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    One(Box<Notification>),
    Several(NotificationId, Vec<Notification>),
}

impl Admitted {
    /// The notifications, in the order of their recipients.
    pub(crate) fn notifications(&self) -> &[Notification] {
        match &self.what {
            What::One(notification) => std::slice::from_ref(notification),
            What::Several(_, notifications) => notifications,
        }
    }
}

impl Allowance {
    /// A whole one.
    pub(crate) fn of(config: &Config) -> Self {
        Self { records: config.records, bytes: config.fan_out_bytes }
    }

    fn spend(&mut self, records: usize, bytes: usize) -> Result<(), Refusal> {
        let weight = records.saturating_mul(bytes);
        if records > self.records || weight > self.bytes {
            let detail = format!(
                "{records} record(s) of {bytes} bytes; this request may become {} more, of {} bytes together",
                self.records, self.bytes
            );
            return Err(Refusal::new(Reason::FanOutTooLarge, detail));
        }
        self.records -= records;
        self.bytes -= weight;
        Ok(())
    }
}

/// Admits one draft under `id`.
pub(crate) fn admit(
    draft: Draft,
    id: NotificationId,
    terms: &Terms<'_>,
    allowance: &mut Allowance,
) -> Result<Admitted, Refusal> {
    let recipients = recipients(&draft.to, terms)?;
    let kind = NotificationType::parse(&draft.kind)
        .map_err(|error| Refusal::new(Reason::TypeInvalid, format_args!("the type {error}")).at("/type"))?;
    let expires = expires(draft.ttl_s, terms)?;
    let urgency = urgency(draft.urgency.as_deref())?;
    let asked = draft.task.map(|asked| asked.settle("/task")).transpose()?.map(Enriched::Asked);
    let enriched = asked.or_else(|| terms.bound.to(&kind).map(Enriched::Bound));
    let metadata = metadata(draft.metadata, terms.config.metadata_bytes)?;
    let (content_type, content): (ContentType, Bytes) =
        settle(draft.content, draft.content_type.as_deref(), terms.config.content_bytes)?;
    let carried = [&metadata, &terms.trace.parent, &terms.trace.state, &terms.trace.baggage];
    let carried_bytes: usize = carried.into_iter().flatten().map(String::len).sum();
    allowance.spend(recipients.len(), content.len() + carried_bytes + RECORD_BYTES)?;
    let make = |id, recipient| Notification {
        id,
        recipient,
        source: format!("{}{}", terms.config.source_prefix, terms.tenant),
        kind: kind.clone(),
        time: terms.now,
        expires,
        urgency,
        content_type: content_type.clone(),
        metadata: metadata.clone(),
        trace: terms.trace.clone(),
        content: content.clone(),
    };
    let what = match draft.to {
        To::One(_) => recipients
            .into_iter()
            .next()
            .map(|recipient| What::One(Box::new(make(id, recipient))))
            .ok_or_else(|| Refusal::plain(Reason::Internal))?,
        To::Several(_) => {
            let derived = recipients.into_iter().enumerate().map(|(index, recipient)| {
                NotificationId::parse(&format!("{id}.{index}"))
                    .map(|derived| make(derived, recipient))
                    .map_err(|error| Refusal::new(Reason::Internal, error))
            });
            What::Several(id.clone(), derived.collect::<Result<_, _>>()?)
        }
    };
    Ok(Admitted { what, enriched })
}

fn recipients(to: &To, terms: &Terms<'_>) -> Result<Vec<Recipient>, Refusal> {
    let read = |name: &str, pointer: String| {
        RecipientId::parse(name).map(|id| Recipient::new(terms.tenant.clone(), id)).map_err(|error| {
            Refusal::new(Reason::RecipientInvalid, format_args!("the recipient's name {error}")).at(pointer)
        })
    };
    let names = match to {
        To::One(name) => return Ok(vec![read(name, "/to/recipient".into())?]),
        To::Several(names) => names,
    };
    let pointer = |index| format!("/to/recipients/{index}");
    if names.is_empty() {
        return Err(Refusal::new(Reason::FieldMissing, "there is no recipient").at("/to/recipients"));
    }
    if names.len() > terms.config.recipients {
        let detail = format!("at most {} are taken", terms.config.recipients);
        return Err(Refusal::new(Reason::RecipientsTooMany, detail).at("/to/recipients"));
    }
    let mut seen = HashSet::with_capacity(names.len());
    let mut found = Vec::with_capacity(names.len());
    for (index, name) in names.iter().enumerate() {
        found.push(read(name, pointer(index))?);
        if !seen.insert(name.as_str()) {
            return Err(Refusal::plain(Reason::RecipientRepeated).at(pointer(index)));
        }
    }
    Ok(found)
}

/// RFC 8030, section 5.2: zero means now or not at all, so it lives as long as the way may take.
fn expires(ttl_s: Option<u64>, terms: &Terms<'_>) -> Result<Timestamp, Refusal> {
    let ttl = match ttl_s {
        None => Duration::from_secs(terms.config.default_ttl_s),
        Some(0) => terms.config.zero_ttl_ms,
        Some(seconds) => Duration::from_secs(seconds),
    };
    if ttl > MAX_TTL {
        let detail = format!("the time to live is at most {} seconds", MAX_TTL.as_secs());
        return Err(Refusal::new(Reason::TtlInvalid, detail).at("/ttl"));
    }
    Ok(terms.now.after(ttl))
}

fn urgency(word: Option<&str>) -> Result<Urgency, Refusal> {
    let Some(word) = word else { return Ok(Urgency::default()) };
    Urgency::parse(word).ok_or_else(|| {
        Refusal::new(Reason::UrgencyInvalid, "the urgency is very-low, low, normal or high").at("/urgency")
    })
}

fn metadata(text: Option<String>, most_bytes: usize) -> Result<Option<String>, Refusal> {
    let Some(text) = text else { return Ok(None) };
    if text.len() > most_bytes {
        let detail = format!("{} bytes, at most {most_bytes} are taken", text.len());
        return Err(Refusal::new(Reason::MetadataTooLarge, detail).at("/metadata"));
    }
    let invalid = |why: String| Refusal::new(Reason::MetadataInvalid, why).at("/metadata");
    if !text.trim_start().starts_with('{') {
        return Err(invalid("the metadata is not an object".into()));
    }
    sound_json(&text).map_err(|error| invalid(format!("the metadata is not JSON: {error}")))?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests;
