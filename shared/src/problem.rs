//! RFC 9457 problem details, as both HTTP edges write them. The status of each code is chosen by the service.

use serde::Serialize;

/// The media type of a problem.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// A problem document. `code` is stable and what programs match; `detail` is for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// `urn:postrider:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// A short sentence, the same for every problem of this code.
    pub title: &'static str,
    /// HTTP status.
    pub status: u16,
    /// Stable code.
    pub code: &'static str,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// What is wrong with this request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// JSON pointer (RFC 6901) to the part of the request that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Seconds after which to try again; the `Retry-After` header says the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
}

impl Problem {
    /// A problem without particulars.
    #[must_use]
    pub fn new(code: &'static str, title: &'static str, status: u16) -> Self {
        let kind = format!("urn:postrider:problem:{code}");
        Self { kind, title, status, code, retryable: false, detail: None, pointer: None, retry_after_s: None }
    }

    /// With words for a person.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// With the place in the request.
    #[must_use]
    pub fn pointer(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into());
        self
    }

    /// Marks it worth trying again after `seconds`.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retryable = true;
        self.retry_after_s = Some(seconds);
        self
    }
}
