//! What a module answered, as notifications to append and as the store keeps them meanwhile. Pure.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use shared::InvalidName;
use shared::clock::Timestamp;
use shared::log::{Entry, Headers};
use shared::notification::Notification;
use shared::recipient::Recipient;
use shared::record;
use shared::task::ModuleName;

use crate::derived;
use crate::sandbox::{Failure, Output};

/// The notification that `output`, at `place` of what `module` answered at `now`, is. Trace, urgency and expiry are those
/// of `input` where the output states none.
pub(crate) fn notification(
    input: &Notification,
    module: &ModuleName,
    output: Output,
    place: usize,
    now: Timestamp,
) -> Result<Notification, InvalidName> {
    let Recipient { tenant, id } = &input.recipient;
    Ok(Notification {
        id: derived::output(tenant, &input.id, place)?,
        recipient: Recipient { tenant: tenant.clone(), id: output.recipient.unwrap_or_else(|| id.clone()) },
        source: format!("/tasks/{}", module.as_str()),
        kind: output.kind,
        time: now,
        expires: output.ttl.map_or(input.expires, |ttl| now.after(ttl)),
        urgency: output.urgency.unwrap_or(input.urgency),
        content_type: output.content_type,
        metadata: output.metadata,
        trace: input.trace.clone(),
        content: output.content,
    })
}

/// What is delivered instead of `input`: `output` is what it says, and who and when it is stays. It expires no later.
///
/// # Errors
/// When it is for somebody else.
pub(crate) fn enriched(
    input: &Notification,
    output: Output,
    now: Timestamp,
) -> Result<Notification, Failure> {
    if output.recipient.as_ref().is_some_and(|recipient| *recipient != input.recipient.id) {
        let told = "the first output is the notification itself, and for its recipient";
        return Err(Failure::InvalidOutput(told.to_owned()));
    }
    let Output { kind, content_type, content, metadata, urgency, ttl, recipient: _ } = output;
    Ok(Notification {
        kind,
        content_type,
        content,
        metadata: metadata.or_else(|| input.metadata.clone()),
        urgency: urgency.unwrap_or(input.urgency),
        expires: ttl.map_or(input.expires, |ttl| now.after(ttl).min(input.expires)),
        ..input.clone()
    })
}

/// The records of notifications, if the log takes each.
///
/// # Errors
/// With the place of one that is too large.
pub(crate) fn entries(
    notifications: &[Notification],
    max_record_bytes: usize,
) -> Result<Vec<Entry>, Failure> {
    let sized = |(place, notification): (usize, &Notification)| {
        let entry = record::encode(notification);
        if entry.size_bytes() > max_record_bytes {
            let bytes = entry.size_bytes();
            let told =
                format!("output {place} is a record of {bytes} bytes, at most {max_record_bytes} are taken");
            return Err(Failure::OutputTooLarge(told));
        }
        Ok(entry)
    };
    notifications.iter().enumerate().map(sized).collect()
}

/// The form that this version writes; a later one has another number.
const FORM: u8 = 1;

/// Records as the store keeps them until they are published: a byte that names the form, then for each its key, the number
/// of its headers, their names and values, and its body; numbers and lengths are big-endian, 32 bits.
pub(crate) fn pack(entries: &[Entry]) -> Bytes {
    let mut packed = BytesMut::new();
    if entries.is_empty() {
        return packed.freeze();
    }
    packed.put_u8(FORM);
    for entry in entries {
        put(&mut packed, &entry.key);
        packed.put_u32(number(entry.headers.len()));
        for (name, value) in &entry.headers {
            put(&mut packed, name.as_bytes());
            put(&mut packed, value);
        }
        put(&mut packed, &entry.payload);
    }
    packed.freeze()
}

fn put(packed: &mut BytesMut, part: &[u8]) {
    packed.put_u32(number(part.len()));
    packed.put_slice(part);
}

fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// What [`pack`] packed; none: it was another version.
pub(crate) fn unpack(packed: &Bytes) -> Option<Vec<Entry>> {
    let mut rest = packed.clone();
    if rest.is_empty() {
        return Some(Vec::new());
    }
    if rest.try_get_u8().ok()? != FORM {
        return None;
    }
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let key = part(&mut rest)?;
        let mut headers = Headers::new();
        for _ in 0..rest.try_get_u32().ok()? {
            let name = String::from_utf8(part(&mut rest)?.to_vec()).ok()?;
            headers.push((name.into(), part(&mut rest)?));
        }
        entries.push(Entry { key, headers, payload: part(&mut rest)? });
    }
    Some(entries)
}

fn part(rest: &mut Bytes) -> Option<Bytes> {
    let length = rest.try_get_u32().ok()? as usize;
    (length <= rest.len()).then(|| rest.split_to(length))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use shared::notification::{ContentType, NotificationType, Urgency};

    use super::*;
    use crate::testing;

    fn output(text: &str) -> Output {
        Output {
            recipient: None,
            kind: NotificationType::parse("order.total").unwrap(),
            content_type: ContentType::parse("text/plain").unwrap(),
            content: Bytes::copy_from_slice(text.as_bytes()),
            metadata: None,
            urgency: Some(Urgency::High),
            ttl: Some(Duration::from_secs(60)),
        }
    }

    #[test]
    fn outputs_survive_the_store_byte_for_byte() {
        let (input, sum) = (testing::notification("acme/alice", "n-1"), ModuleName::parse("sum").unwrap());
        let made = |place| notification(&input, &sum, output("7"), place, input.time).unwrap();
        let entries = entries(&[made(0), made(1)], 4096).unwrap();
        let packed = pack(&entries);
        assert_eq!(unpack(&packed), Some(entries));
        assert_eq!(unpack(&Bytes::new()), Some(vec![]));
        for cut in 1..packed.len() {
            assert_ne!(unpack(&packed.slice(..cut)).map(|entries| entries.len()), Some(2), "{cut}");
        }
    }

    #[test]
    fn what_is_enriched_stays_who_it_is_and_expires_no_later() {
        let input = testing::notification("acme/alice", "n-1");
        let now = input.time.after(Duration::from_secs(1));
        let made = enriched(&input, output("7"), now).unwrap();
        assert_eq!((&made.id, &made.recipient, made.time), (&input.id, &input.recipient, input.time));
        assert_eq!(
            (made.content, made.expires),
            (Bytes::from_static(b"7"), now.after(Duration::from_secs(60)))
        );
        let late = input.expires.before(Duration::from_secs(1));
        assert_eq!(enriched(&input, output("7"), late).unwrap().expires, input.expires);
        let other =
            Output { recipient: Some(shared::recipient::RecipientId::parse("bob").unwrap()), ..output("7") };
        assert_eq!(enriched(&input, other, now).unwrap_err().code(), "invalid_output");
    }

    #[test]
    fn a_record_that_the_log_would_not_take_is_refused_before_anything_is_noted() {
        let (input, sum) = (testing::notification("acme/alice", "n-1"), ModuleName::parse("sum").unwrap());
        let made = notification(&input, &sum, output(&"x".repeat(5000)), 0, input.time).unwrap();
        assert_eq!(entries(&[made], 4096).unwrap_err().code(), "output_too_large");
    }
}
