//! Batches for a node, written from where their notifications stand: what [`wire::ToNode`](super::wire::ToNode) would be,
//! without a copy of it in between.

use std::sync::Arc;

use bytes::{Buf, BufMut};
use futures_util::Stream;
use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, encode_varint, encoded_len_varint};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::wire::ToDirector;
use crate::delivery::SessionId;
use crate::notification::Notification;
use crate::position::Position;

/// A frame of a batch. `R` has the notification.
#[derive(Debug)]
pub struct Outgoing<R> {
    session: SessionId,
    body: Body<R>,
}

#[derive(Debug)]
enum Body<R> {
    Record { position: Position, parked_upto: u64, record: Arc<R>, length: usize },
    Poke { parked_upto: u64 },
    Resume,
}

impl<R: AsRef<Notification>> Outgoing<R> {
    /// Forwards the notification of `record`, which is shared until it is sent.
    #[must_use]
    pub fn record(session: SessionId, position: Position, parked_upto: u64, record: Arc<R>) -> Self {
        let mut count = Count(0);
        write_record(position, parked_upto, (*record).as_ref(), &mut count);
        Self { session, body: Body::Record { position, parked_upto, record, length: count.0 } }
    }

    /// Pokes a session.
    #[must_use]
    pub fn poke(session: SessionId, parked_upto: u64) -> Self {
        Self { session, body: Body::Poke { parked_upto } }
    }

    /// Lets a session take records of this stream again.
    #[must_use]
    pub fn resume(session: SessionId) -> Self {
        Self { session, body: Body::Resume }
    }

    /// To which session.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.session
    }

    /// How far it says `parked` must be drained.
    #[must_use]
    pub fn parked_upto(&self) -> Option<u64> {
        match self.body {
            Body::Record { parked_upto, .. } | Body::Poke { parked_upto } => Some(parked_upto),
            Body::Resume => None,
        }
    }

    fn write(&self, to: &mut impl Put) {
        if self.session.0 != 0 {
            to.key(1, WireType::SixtyFourBit);
            to.slice(&self.session.0.to_le_bytes());
        }
        match &self.body {
            Body::Record { position, parked_upto, record, length } => {
                to.length(2, *length);
                write_record(*position, *parked_upto, (**record).as_ref(), to);
            }
            Body::Poke { parked_upto } => {
                let mut count = Count(0);
                count.number(1, *parked_upto);
                to.length(3, count.0);
                to.number(1, *parked_upto);
            }
            Body::Resume => to.length(4, 0),
        }
    }

    fn length(&self) -> usize {
        let mut count = Count(0);
        if let Body::Record { length, .. } = self.body {
            // Already counted.
            if self.session.0 != 0 {
                count.key(1, WireType::SixtyFourBit);
                count.0 += 8;
            }
            count.length(2, length);
            return count.0 + length;
        }
        self.write(&mut count);
        count.0
    }
}

/// Frames that go together. It is written only.
#[derive(Debug)]
pub struct Batch<R>(pub Vec<Outgoing<R>>);

impl<R: AsRef<Notification> + Send + Sync> prost::Message for Batch<R> {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        for frame in &self.0 {
            let mut to = Into(buf);
            to.length(1, frame.length());
            frame.write(&mut to);
        }
    }

    fn encoded_len(&self) -> usize {
        let mut count = Count(0);
        for frame in &self.0 {
            let length = frame.length();
            count.length(1, length);
            count.0 += length;
        }
        count.0
    }

    /// Nothing is ever read into it.
    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        prost::encoding::skip_field(wire_type, tag, buf, ctx)
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

/// The method that is called.
const DELIVER: &str = "/postrider.link.v1.Link/Deliver";

/// Calls `Link.Deliver`, as the generated client does, with batches that are written as they stand.
///
/// # Errors
/// When the node does not take the stream.
pub async fn deliver<R: AsRef<Notification> + Send + Sync + 'static>(
    channel: Channel,
    request: Request<impl Stream<Item = Batch<R>> + Send + 'static>,
) -> Result<Streaming<ToDirector>, Status> {
    let mut client = Grpc::new(channel);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = ProstCodec::<Batch<R>, ToDirector>::default();
    Ok(client.streaming(request, PathAndQuery::from_static(DELIVER), codec).await?.into_inner())
}

/// Where a message is written to, or only counted. Empty and zero fields are left out, as proto3 has it.
trait Put {
    fn varint(&mut self, number: u64);
    fn slice(&mut self, bytes: &[u8]);

    fn key(&mut self, tag: u32, wire_type: WireType) {
        self.varint(u64::from(tag << 3 | wire_type as u32));
    }

    fn length(&mut self, tag: u32, length: usize) {
        self.key(tag, WireType::LengthDelimited);
        self.varint(length as u64);
    }

    fn number(&mut self, tag: u32, number: u64) {
        if number != 0 {
            self.key(tag, WireType::Varint);
            self.varint(number);
        }
    }

    fn bytes(&mut self, tag: u32, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.length(tag, bytes.len());
            self.slice(bytes);
        }
    }

    fn optional(&mut self, tag: u32, text: Option<&str>) {
        if let Some(text) = text {
            self.length(tag, text.len());
            self.slice(text.as_bytes());
        }
    }
}

/// How many bytes it would be.
struct Count(usize);

impl Put for Count {
    fn varint(&mut self, number: u64) {
        self.0 += encoded_len_varint(number);
    }

    fn slice(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

struct Into<'a, B>(&'a mut B);

impl<B: BufMut> Put for Into<'_, B> {
    fn varint(&mut self, number: u64) {
        encode_varint(number, self.0);
    }

    fn slice(&mut self, bytes: &[u8]) {
        self.0.put_slice(bytes);
    }
}

fn write_position(position: Position, to: &mut impl Put) {
    to.number(1, u64::from(position.epoch.0));
    to.number(2, u64::from(position.partition.0));
    to.number(3, position.offset);
}

/// The fields of `Record` in `proto/link.proto`, in order.
fn write_record(position: Position, parked_upto: u64, notification: &Notification, to: &mut impl Put) {
    let mut count = Count(0);
    write_position(position, &mut count);
    to.length(1, count.0);
    write_position(position, to);
    to.number(2, parked_upto);
    to.bytes(3, notification.id.as_str().as_bytes());
    to.bytes(4, notification.recipient.tenant.as_str().as_bytes());
    to.bytes(5, notification.recipient.id.as_str().as_bytes());
    to.bytes(6, notification.source.as_bytes());
    to.bytes(7, notification.kind.as_str().as_bytes());
    to.bytes(8, notification.content_type.as_str().as_bytes());
    to.number(9, notification.time.as_millis());
    to.number(10, notification.expires.as_millis());
    to.number(11, notification.urgency as u64);
    to.optional(12, notification.metadata.as_deref());
    to.optional(13, notification.trace.parent.as_deref());
    to.optional(14, notification.trace.state.as_deref());
    to.optional(15, notification.trace.baggage.as_deref());
    to.bytes(16, &notification.content);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::clock::Timestamp;
    use crate::link::{self, wire};
    use crate::notification::{ContentType, NotificationId, NotificationType, Trace, Urgency};
    use crate::position::{Epoch, PartitionId};
    use crate::recipient::Recipient;

    struct Held(Notification);

    impl AsRef<Notification> for Held {
        fn as_ref(&self) -> &Notification {
            &self.0
        }
    }

    fn notification(text: Option<String>, content: Vec<u8>, urgency: Urgency, time: u64) -> Notification {
        Notification {
            id: NotificationId::parse("n-1").unwrap(),
            recipient: Recipient::parse_key("acme/alice").unwrap(),
            source: text.clone().unwrap_or_default(),
            kind: NotificationType::parse("test").unwrap(),
            time: Timestamp::from_millis(time),
            expires: Timestamp::from_millis(time / 2),
            urgency,
            content_type: ContentType::parse("text/plain").unwrap(),
            metadata: text.clone(),
            trace: Trace { parent: text.clone(), state: None, baggage: text },
            content: content.into(),
        }
    }

    proptest! {
        #[test]
        fn it_is_written_as_the_generated_message_is(
            session: u64, epoch: u32, partition in 0_u32..3, offset: u64, upto in 0_u64..300, time: u64,
            text in prop::option::of("[a-zä]{0,9}"), content in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            let position = Position { epoch: Epoch(epoch), partition: PartitionId(partition), offset };
            let (mut ours, mut generated) = (Vec::new(), Vec::new());
            for (session, urgency) in [(session, Urgency::VeryLow), (0, Urgency::High)] {
                let session = SessionId(session);
                let notification = notification(text.clone(), content.clone(), urgency, time);
                generated.push(link::record(session, position, upto, &notification));
                ours.push(Outgoing::record(session, position, upto, Arc::new(Held(notification))));
                generated.extend([link::poke(session, upto), link::resume(session)]);
                ours.extend([Outgoing::poke(session, upto), Outgoing::resume(session)]);
            }
            let (batch, frames) = (Batch(ours), wire::ToNode { frames: generated });
            prop_assert_eq!(batch.encoded_len(), frames.encoded_len());
            prop_assert_eq!(batch.encode_to_vec(), frames.encode_to_vec());
        }
    }
}
