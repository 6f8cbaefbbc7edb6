//! Why a request, or a part of it, is not accepted. Made by every step, answered by [`crate::http::problem`].

use std::fmt;

/// The kinds of refusal, cut by what a producer's program can do about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Not JSON.
    JsonMalformed,
    /// Nested beyond the limit.
    JsonTooDeep,
    /// A field that no operation has.
    FieldUnknown,
    /// A field that is there twice.
    FieldRepeated,
    /// A field that must be there and is not.
    FieldMissing,
    /// A field of the wrong JSON type.
    FieldType,
    /// Two fields, or a header and a query parameter, that contradict each other.
    FieldConflict,
    /// A header that must be text, or may be there once only.
    HeaderInvalid,
    /// A query parameter that is unknown, repeated or not UTF-8.
    QueryInvalid,
    /// No name of a recipient.
    RecipientInvalid,
    /// The same recipient twice.
    RecipientRepeated,
    /// Too many recipients.
    RecipientsTooMany,
    /// No name of a type.
    TypeInvalid,
    /// No media type.
    ContentTypeInvalid,
    /// No content.
    ContentEmpty,
    /// The content is not what its content type says.
    ContentMismatch,
    /// `content_base64` is not base64.
    ContentEncodingInvalid,
    /// The content is larger than the limit.
    ContentTooLarge,
    /// No time to live.
    TtlInvalid,
    /// No urgency.
    UrgencyInvalid,
    /// No JSON object.
    MetadataInvalid,
    /// The metadata is larger than the limit.
    MetadataTooLarge,
    /// Something the design has and this version has not.
    NotSupported,
    /// `Idempotency-Key`, which this version does not have; to accept it silently would promise what is not kept.
    IdempotencyNotSupported,
    /// A batch without items.
    BatchEmpty,
    /// A batch with more items than the limit.
    BatchTooMany,
    /// More records, or more bytes of them, than one request may become.
    FanOutTooLarge,
    /// The request body is larger than the limit.
    BodyTooLarge,
    /// The request body did not come in time.
    BodyTimeout,
    /// The request body broke off.
    BodyBroken,
    /// A content type that this operation does not take.
    MediaTypeUnsupported,
    /// A content coding.
    ContentCodingUnsupported,
    /// No credentials, or none that are good. Which of these is not told.
    Unauthorized,
    /// The store of keys is away and this one is not cached.
    CredentialsUnavailable,
    /// Too much memory is held by requests under way.
    Overloaded,
    /// The log is away or too slow.
    LogUnavailable,
    /// The log refuses: an operator must look.
    LogRefused,
    /// The record is larger than the log takes.
    RecordTooLarge,
    /// Some recipients of a notification were accepted and others were not.
    PartlyAccepted,
    /// The request's deadline passed.
    DeadlineExceeded,
    /// The store is away or too slow.
    StoreUnavailable,
    /// The store refuses: an operator must look.
    StoreRefused,
    /// A change of many dead letters that does not say which.
    FilterMissing,
    /// A filter's value breaks its grammar.
    FilterInvalid,
    /// No such dead letter in this tenant.
    DeadLetterNotFound,
    /// A dead letter that is no whole notification cannot be requeued.
    DeadLetterUnfit,
    /// A dead letter that was discarded cannot be requeued.
    DeadLetterDiscarded,
    /// A dead letter that was requeued cannot be discarded.
    DeadLetterRequeued,
    /// What is said of a task breaks its grammar.
    TaskInvalid,
    /// A task by a module that the tenant does not have.
    ModuleUnknown,
    /// The input is not what the module's schema asks for.
    InputMismatch,
    /// No such task in this tenant.
    TaskNotFound,
    /// A task that is at another end cannot be cancelled.
    TaskEnded,
    /// A task that has not failed, nor was cancelled, cannot be tried again.
    TaskNotEnded,
    /// No such module, or version, in this tenant.
    ModuleNotFound,
    /// A name of a module, a version, an alias, a binding or a schedule that is none, or is reserved.
    NameInvalid,
    /// No module that can be run.
    ModuleUnfit,
    /// The settings of a module are none.
    ModuleSettingsInvalid,
    /// The module is not the one whose digest was stated.
    DigestMismatch,
    /// The version is there with other bytes or settings, or is an alias.
    VersionTaken,
    /// A version that an alias stands for cannot be removed.
    VersionAliased,
    /// More versions than a tenant may have.
    ModulesTooMany,
    /// No such alias of this module.
    AliasNotFound,
    /// The alias is a version.
    AliasTaken,
    /// The alias stood for nothing before.
    NothingBefore,
    /// No such binding in this tenant.
    BindingNotFound,
    /// Another binding has the type.
    BindingTaken,
    /// More bindings than a tenant may have.
    BindingsTooMany,
    /// No such schedule in this tenant.
    ScheduleNotFound,
    /// The times of a schedule are none.
    ScheduleInvalid,
    /// More schedules than a tenant may have.
    SchedulesTooMany,
    /// Somebody else changed the schedule meanwhile.
    ScheduleChanged,
    /// No such path.
    NotFound,
    /// No such method on this path.
    MethodNotAllowed,
    /// A fault of ours.
    Internal,
}

/// One refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its kind.
    pub reason: Reason,
    /// For a person; may be empty.
    pub detail: String,
    /// JSON pointer (RFC 6901) to the part of the request body that is wrong.
    pub pointer: Option<String>,
    /// Where an input is not what a schema asks for.
    pub violations: Vec<Violation>,
}

/// One place where an input is not what a schema asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer (RFC 6901) to it, inside the request body.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

impl Refusal {
    /// A refusal in words.
    #[must_use]
    pub fn new(reason: Reason, detail: impl fmt::Display) -> Self {
        Self { reason, detail: detail.to_string(), pointer: None, violations: Vec::new() }
    }

    /// A refusal that needs no words beyond its kind.
    #[must_use]
    pub fn plain(reason: Reason) -> Self {
        Self { reason, detail: String::new(), pointer: None, violations: Vec::new() }
    }

    /// The refusal of a part that stands at `place` of the request body, which it took for the whole.
    #[must_use]
    pub fn under(mut self, place: &str) -> Self {
        self.pointer = self.pointer.map(|pointer| format!("{place}{pointer}"));
        for violation in &mut self.violations {
            violation.pointer.insert_str(0, place);
        }
        self
    }

    /// With the place in the request body.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into());
        self
    }
}
