//! Whether what a task wants published can be: names, sizes, grants. Both kinds of guests come through here. Pure.

use std::time::Duration;

use bytes::Bytes;
use shared::notification::{ContentType, MAX_TTL, NotificationType, Urgency};
use shared::recipient::{Recipient, RecipientId};

use super::attempt::{Answer, Output};
use super::failure::Failure;
use super::grants::Publish;

/// An output as the guest stated it.
#[derive(Clone, Debug, Default)]
pub(super) struct Stated {
    pub(super) recipient: Option<String>,
    pub(super) kind: String,
    pub(super) content_type: String,
    pub(super) content: Bytes,
    pub(super) metadata: Option<String>,
    pub(super) urgency: Option<Urgency>,
    pub(super) ttl_ms: Option<u64>,
}

/// What outputs are measured by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measure<'a> {
    /// Most outputs.
    pub(super) most: usize,
    /// Most bytes of content and metadata, all together.
    pub(super) most_bytes: usize,
    /// Most bytes of a reason.
    pub(super) reason_bytes: usize,
    /// Whom they may be for.
    pub(super) publish: Publish,
    /// Whom the input was for.
    pub(super) recipient: &'a Recipient,
}

impl Measure<'_> {
    /// The outputs, if every one is sound.
    pub(super) fn done(&self, stated: Vec<Stated>) -> Result<Answer, Failure> {
        if stated.len() > self.most {
            let told = format!("{} outputs, at most {} are taken", stated.len(), self.most);
            return Err(Failure::OutputTooLarge(told));
        }
        let size = |one: &Stated| one.content.len() + one.metadata.as_ref().map_or(0, String::len);
        let bytes: usize = stated.iter().map(size).sum();
        if bytes > self.most_bytes {
            let told = format!("{bytes} bytes of outputs, at most {} are taken", self.most_bytes);
            return Err(Failure::OutputTooLarge(told));
        }
        let sound = |(at, one): (usize, Stated)| self.sound(at, one);
        Ok(Answer::Done(stated.into_iter().enumerate().map(sound).collect::<Result<_, _>>()?))
    }

    /// Asks for another attempt.
    pub(super) fn retry(&self, reason: &str, after_ms: Option<u64>) -> Answer {
        Answer::Retry { reason: self.cut(reason), after: after_ms.map(Duration::from_millis) }
    }

    /// Gives up for good.
    pub(super) fn rejected(&self, reason: &str) -> Answer {
        Answer::Rejected { reason: self.cut(reason) }
    }

    fn cut(&self, reason: &str) -> String {
        reason[..reason.floor_char_boundary(self.reason_bytes)].to_owned()
    }

    fn sound(&self, at: usize, stated: Stated) -> Result<Output, Failure> {
        let wrong = |field: &str, why: &dyn std::fmt::Display| {
            Failure::InvalidOutput(format!("output {at}: {field} {why}"))
        };
        let recipient = stated.recipient.as_deref().map(RecipientId::parse).transpose();
        let recipient = recipient.map_err(|error| wrong("recipient", &error))?;
        self.may_publish(recipient.as_ref())?;
        let ttl = stated.ttl_ms.map(Duration::from_millis);
        if ttl.is_some_and(|ttl| ttl.is_zero() || ttl > MAX_TTL) {
            return Err(wrong("ttl", &"is not above zero and at most 28 days"));
        }
        if stated.content.is_empty() {
            return Err(wrong("content", &"is empty"));
        }
        if stated.metadata.as_deref().is_some_and(|text| !is_object(text)) {
            return Err(wrong("metadata", &"is not a JSON object"));
        }
        Ok(Output {
            recipient,
            kind: NotificationType::parse(&stated.kind).map_err(|error| wrong("type", &error))?,
            content_type: ContentType::parse(&stated.content_type)
                .map_err(|error| wrong("content type", &error))?,
            content: stated.content,
            metadata: stated.metadata,
            urgency: stated.urgency,
            ttl,
        })
    }

    fn may_publish(&self, recipient: Option<&RecipientId>) -> Result<(), Failure> {
        let same = recipient.is_none_or(|recipient| *recipient == self.recipient.id);
        match self.publish {
            Publish::Tenant => Ok(()),
            Publish::SameRecipient if same => Ok(()),
            Publish::SameRecipient => Err(Failure::Denied("publish to another recipient".to_owned())),
        }
    }
}

fn is_object(text: &str) -> bool {
    matches!(serde_json::from_str(text), Ok(serde_json::Value::Object(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(publish: Publish, stated: Vec<Stated>) -> Result<Answer, Failure> {
        let recipient = Recipient::parse_key("acme/alice").unwrap();
        let measure = Measure { most: 2, most_bytes: 10, reason_bytes: 4, publish, recipient: &recipient };
        measure.done(stated)
    }

    fn sound() -> Stated {
        Stated {
            kind: "order.shipped".into(),
            content_type: "text/plain".into(),
            content: "12345".into(),
            ..Stated::default()
        }
    }

    #[test]
    fn outputs_at_their_limits_are_taken_and_one_more_is_not() {
        assert!(measured(Publish::SameRecipient, vec![sound(), sound()]).is_ok());
        let three = measured(Publish::SameRecipient, vec![sound(), sound(), sound()]);
        assert_eq!(three.unwrap_err().code(), "output_too_large");
        let longer = Stated { content: "123456".into(), ..sound() };
        let eleven = measured(Publish::SameRecipient, vec![sound(), longer]);
        assert_eq!(eleven.unwrap_err().code(), "output_too_large");
    }

    #[test]
    fn each_field_is_checked_and_named() {
        let wrong = [
            ("recipient", Stated { recipient: Some("a/b".into()), ..sound() }),
            ("type", Stated { kind: "a b".into(), ..sound() }),
            ("content type", Stated { content_type: "text/plain\r\nx: y".into(), ..sound() }),
            ("content", Stated { content: Bytes::new(), ..sound() }),
            ("metadata", Stated { metadata: Some("[1]".into()), ..sound() }),
            ("ttl", Stated { ttl_ms: Some(0), ..sound() }),
            ("ttl", Stated { ttl_ms: Some(u64::MAX), ..sound() }),
        ];
        for (field, stated) in wrong {
            let told = measured(Publish::Tenant, vec![stated]).unwrap_err();
            assert_eq!(told.code(), "invalid_output");
            assert!(told.to_string().contains(&format!("output 0: {field} ")), "{told}");
        }
    }

    #[test]
    fn another_recipient_needs_the_grant() {
        let to = |recipient: &str| vec![Stated { recipient: Some(recipient.into()), ..sound() }];
        assert!(measured(Publish::SameRecipient, to("alice")).is_ok());
        assert_eq!(measured(Publish::SameRecipient, to("bob")).unwrap_err().code(), "denied");
        assert!(measured(Publish::Tenant, to("bob")).is_ok());
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        let recipient = Recipient::parse_key("acme/alice").unwrap();
        let measure = Measure {
            most: 0,
            most_bytes: 0,
            reason_bytes: 4,
            publish: Publish::Tenant,
            recipient: &recipient,
        };
        assert_eq!(measure.rejected("no–way"), Answer::Rejected { reason: "no".into() });
        assert_eq!(
            measure.retry("later", Some(7)),
            Answer::Retry { reason: "late".into(), after: Some(Duration::from_millis(7)) }
        );
    }
}
