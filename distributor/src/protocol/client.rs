//! What clients send, and what can be wrong with it. Decoding names the code of each mistake, a detail for a person and
//! a JSON pointer to the place; fields that are not known are refused, because a misspelt `cursor` would be costly.

use serde::Deserialize;
use serde_json::{Map, Value};
use shared::delivery::Rejection;
use shared::position::Cursor;

use super::MAX_SEQ;

/// The longest `ref`, in bytes.
pub const MAX_REFERENCE_BYTES: usize = 64;

/// The longest token in a `hello`, in bytes.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// A client's frame. `reference` is its field `ref`, echoed by the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientFrame {
    /// `hello`: opens the session.
    Hello(Hello),
    /// `ack`: everything up to `seq` is processed.
    Ack {
        /// Sequence number.
        seq: u64,
        /// The frame's `ref`.
        reference: Option<String>,
    },
    /// `nack`: one notification is refused.
    Nack(Nack),
    /// `subscribe`.
    Subscribe {
        /// The frame's `ref`.
        reference: Option<String>,
    },
    /// `unsubscribe`.
    Unsubscribe {
        /// The frame's `ref`.
        reference: Option<String>,
    },
    /// `ping`.
    Ping {
        /// The frame's `ref`.
        reference: Option<String>,
    },
}

/// `hello`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// A client token, when none came with the handshake.
    pub token: Option<String>,
    /// Where the client stands.
    pub cursor: Option<Cursor>,
    /// Most notifications it wants sent and unacknowledged.
    pub window: Option<u32>,
    /// The frame's `ref`.
    pub reference: Option<String>,
}

/// `nack`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nack {
    /// Which notification.
    pub seq: u64,
    /// Why; `None`: it is wanted again later.
    pub rejection: Option<Rejection>,
    /// The frame's `ref`.
    pub reference: Option<String>,
}

/// The stable code of an `error` frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// Not JSON.
    JsonInvalid,
    /// JSON, but no object.
    FrameNotObject,
    /// No field `frame`.
    FrameMissing,
    /// The field `frame` names nothing that a client can send.
    FrameUnknown,
    /// A field that the frame needs is not there.
    FieldMissing,
    /// A field has the wrong type or a value outside its limits.
    FieldInvalid,
    /// A field that the frame does not have.
    FieldUnknown,
    /// The cursor is none that this server wrote.
    CursorInvalid,
    /// An acknowledgement of something that was not sent.
    AckOutOfRange,
    /// A frame that the protocol has and this server does not serve.
    NotSupported,
    /// A `hello` on a session that is open.
    AlreadyOpen,
    /// Another frame where only `hello` can come.
    HelloExpected,
    /// A binary frame.
    BinaryUnsupported,
    /// A frame larger than the limit.
    FrameTooLarge,
    /// The token is missing or no good.
    Unauthenticated,
    /// The token expired.
    TokenExpired,
    /// The node holds as many sessions as it may.
    Overloaded,
}

impl Code {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::JsonInvalid => "json-invalid",
            Self::FrameNotObject => "frame-not-object",
            Self::FrameMissing => "frame-missing",
            Self::FrameUnknown => "frame-unknown",
            Self::FieldMissing => "field-missing",
            Self::FieldInvalid => "field-invalid",
            Self::FieldUnknown => "field-unknown",
            Self::CursorInvalid => "cursor-invalid",
            Self::AckOutOfRange => "ack-out-of-range",
            Self::NotSupported => "not-supported",
            Self::AlreadyOpen => "already-open",
            Self::HelloExpected => "hello-expected",
            Self::BinaryUnsupported => "binary-unsupported",
            Self::FrameTooLarge => "frame-too-large",
            Self::Unauthenticated => "unauthenticated",
            Self::TokenExpired => "token-expired",
            Self::Overloaded => "overloaded",
        }
    }

    /// Whether the same frame may succeed later.
    #[must_use]
    pub const fn temporary(self) -> bool {
        matches!(self, Self::Overloaded)
    }
}

/// The frame that nearly all are, read without a detour. What is not exactly this is read the long way, which also says
/// what is wrong with it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Acknowledgement<'a> {
    frame: &'a str,
    seq: u64,
}

/// What is wrong with a client's frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Stable code.
    pub code: Code,
    /// For a person.
    pub detail: String,
    /// JSON pointer (RFC 6901) to the place, where there is one.
    pub pointer: Option<String>,
    /// The frame's `ref`, where it could be read.
    pub reference: Option<String>,
}

impl Mistake {
    /// A mistake of the frame as a whole.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), pointer: None, reference: None }
    }

    /// As the answer to the frame with this `ref`.
    #[must_use]
    pub fn answering(mut self, reference: Option<String>) -> Self {
        self.reference = reference;
        self
    }

    fn at(code: Code, field: &str, detail: impl Into<String>) -> Self {
        let pointer = format!("/{}", field.replace('~', "~0").replace('/', "~1"));
        Self { code, detail: detail.into(), pointer: Some(pointer), reference: None }
    }
}

impl ClientFrame {
    /// Reads one frame.
    ///
    /// # Errors
    /// Says what is wrong with it and where.
    pub fn decode(text: &str) -> Result<Self, Mistake> {
        if let Ok(Acknowledgement { frame: "ack", seq: seq @ 1..=MAX_SEQ }) = serde_json::from_str(text) {
            return Ok(Self::Ack { seq, reference: None });
        }
        let value: Value = serde_json::from_str(text)
            .map_err(|error| Mistake::new(Code::JsonInvalid, format!("is not JSON: {error}")))?;
        let Value::Object(object) = value else {
            return Err(Mistake::new(Code::FrameNotObject, "a frame is a JSON object"));
        };
        let mut fields = Fields(object);
        let reference = fields.reference()?;
        Self::from_fields(fields, reference.clone()).map_err(|mistake| mistake.answering(reference))
    }

    fn from_fields(mut fields: Fields, reference: Option<String>) -> Result<Self, Mistake> {
        let name = match fields.0.remove("frame") {
            Some(Value::String(name)) => name,
            Some(_other) => return Err(Mistake::at(Code::FieldInvalid, "frame", "must be a string")),
            None => return Err(Mistake::at(Code::FrameMissing, "frame", "says which frame this is")),
        };
        let frame = match name.as_str() {
            "hello" => Self::Hello(Hello {
                token: fields.text("token", MAX_TOKEN_BYTES)?,
                cursor: fields.cursor()?,
                window: fields.window()?,
                reference,
            }),
            "ack" => Self::Ack { seq: fields.seq()?, reference },
            "nack" => Self::Nack(Nack { seq: fields.seq()?, rejection: fields.nack_code()?, reference }),
            // Their fields are those of a later version; nothing of them is read.
            "subscribe" => return Ok(Self::Subscribe { reference }),
            "unsubscribe" => return Ok(Self::Unsubscribe { reference }),
            "ping" => Self::Ping { reference },
            _unknown => {
                let detail = "must be hello, ack, nack, subscribe, unsubscribe or ping";
                return Err(Mistake::at(Code::FrameUnknown, "frame", detail));
            }
        };
        fields.finish().map(|()| frame)
    }
}

/// The fields of a frame that are not read yet.
struct Fields(Map<String, Value>);

impl Fields {
    /// A field that may be left out or null.
    fn take(&mut self, field: &str) -> Option<Value> {
        self.0.remove(field).filter(|value| !value.is_null())
    }

    fn text(&mut self, field: &str, max_bytes: usize) -> Result<Option<String>, Mistake> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::String(text)) if text.len() <= max_bytes => Ok(Some(text)),
            Some(Value::String(_long)) => {
                Err(Mistake::at(Code::FieldInvalid, field, format!("is longer than {max_bytes} bytes")))
            }
            Some(_other) => Err(Mistake::at(Code::FieldInvalid, field, "must be a string")),
        }
    }

    fn reference(&mut self) -> Result<Option<String>, Mistake> {
        self.text("ref", MAX_REFERENCE_BYTES)
    }

    fn number(&mut self, field: &str, max: u64) -> Result<Option<u64>, Mistake> {
        match self.take(field).map(|value| value.as_u64()) {
            None => Ok(None),
            Some(Some(number)) if (1..=max).contains(&number) => Ok(Some(number)),
            Some(_other) => {
                Err(Mistake::at(Code::FieldInvalid, field, format!("must be an integer from 1 to {max}")))
            }
        }
    }

    fn seq(&mut self) -> Result<u64, Mistake> {
        self.number("seq", MAX_SEQ)?
            .ok_or_else(|| Mistake::at(Code::FieldMissing, "seq", "says which notification is meant"))
    }

    fn window(&mut self) -> Result<Option<u32>, Mistake> {
        let number = self.number("window", u64::from(u32::MAX))?;
        Ok(number.and_then(|number| u32::try_from(number).ok()))
    }

    fn cursor(&mut self) -> Result<Option<Cursor>, Mistake> {
        self.text("cursor", 1024)?
            .map(|text| Cursor::decode(&text))
            .transpose()
            .map_err(|why| Mistake::at(Code::CursorInvalid, "cursor", why.to_string()))
    }

    fn nack_code(&mut self) -> Result<Option<Rejection>, Mistake> {
        let missing = || Mistake::at(Code::FieldMissing, "code", "must be retry, reject or undecodable");
        match self.text("code", MAX_REFERENCE_BYTES)?.ok_or_else(missing)?.as_str() {
            "retry" => Ok(None),
            "reject" => Ok(Some(Rejection::Refused)),
            "undecodable" => Ok(Some(Rejection::Undecodable)),
            _unknown => Err(Mistake::at(Code::FieldInvalid, "code", "must be retry, reject or undecodable")),
        }
    }

    fn finish(self) -> Result<(), Mistake> {
        match self.0.keys().next() {
            Some(field) => {
                let field: String = field.chars().take(MAX_REFERENCE_BYTES).collect();
                Err(Mistake::at(Code::FieldUnknown, &field, "is no field of this frame"))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
