//! Whether a content is what its content type says, and what bytes it then is. Pure.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use shared::notification::ContentType;

use crate::refusal::{Reason, Refusal};

/// A content as a producer can state it.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// The field `content`: any JSON value, as its text.
    Json(Bytes),
    /// The field `content_base64`.
    Base64(String),
    /// A request body.
    Raw(Bytes),
}

/// Settles content type and bytes. `declared` is what the producer said; the default depends on the form.
pub(crate) fn settle(
    content: Content,
    declared: Option<&str>,
    most_bytes: usize,
) -> Result<(ContentType, Bytes), Refusal> {
    let fallback =
        if matches!(content, Content::Json(_)) { "application/json" } else { "application/octet-stream" };
    let declared = declared.unwrap_or(fallback);
    let invalid = |why: &dyn fmt::Display| {
        Refusal::new(Reason::ContentTypeInvalid, format_args!("the content type {why}")).at("/content_type")
    };
    let content_type = ContentType::parse(declared).map_err(|error| invalid(&error))?;
    let media = MediaType::parse(declared).ok_or_else(|| invalid(&"is not type/subtype with parameters"))?;
    let field = if matches!(content, Content::Base64(_)) { "/content_base64" } else { "/content" };
    let bytes = match content {
        Content::Json(text) if media.is_json() => text,
        Content::Json(text) => written_text(&text, &media)?,
        Content::Base64(text) => Bytes::from(STANDARD.decode(text).map_err(|error| {
            Refusal::new(Reason::ContentEncodingInvalid, format_args!("not base64: {error}")).at(field)
        })?),
        Content::Raw(bytes) => bytes,
    };
    if bytes.is_empty() {
        return Err(Refusal::plain(Reason::ContentEmpty).at(field));
    }
    if bytes.len() > most_bytes {
        let detail = format!("{} bytes, at most {most_bytes} are taken", bytes.len());
        return Err(Refusal::new(Reason::ContentTooLarge, detail).at(field));
    }
    agree(&bytes, &media).map_err(|refusal| refusal.at(field))?;
    Ok((content_type, bytes))
}

/// The bytes of a text content that was written as a JSON string.
fn written_text(json: &Bytes, media: &MediaType) -> Result<Bytes, Refusal> {
    let mismatch = |why: String| Refusal::new(Reason::ContentMismatch, why).at("/content");
    if !media.is_text() {
        return Err(mismatch(format!("a content of type {} goes into content_base64", media.essence)));
    }
    if !media.charset_is_utf8() {
        return Err(mismatch("text in a JSON string is UTF-8, which the charset denies".into()));
    }
    let text: String = serde_json::from_slice(json)
        .map_err(|error| mismatch(format!("a content of type {} is a string: {error}", media.essence)))?;
    Ok(Bytes::from(text))
}

fn agree(bytes: &[u8], media: &MediaType) -> Result<(), Refusal> {
    if media.is_json() {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| Refusal::new(Reason::ContentMismatch, format_args!("JSON is UTF-8: {error}")))?;
        return sound_json(text)
            .map_err(|error| Refusal::new(Reason::ContentMismatch, format_args!("not JSON: {error}")));
    }
    if media.is_text() && media.charset_is_utf8() {
        std::str::from_utf8(bytes).map_err(|error| {
            Refusal::new(Reason::ContentMismatch, format_args!("{} is UTF-8 here: {error}", media.essence))
        })?;
    }
    Ok(())
}

/// Whether a content of this type is JSON.
pub(crate) fn is_json(content_type: &ContentType) -> bool {
    MediaType::parse(content_type.as_str()).is_some_and(|media| media.is_json())
}

/// Checks that any reader can take `text` in: JSON, nested at most 127 deep, no lone surrogates, no number beyond a
/// double. One that fails would break a client's whole frame.
pub(crate) fn sound_json(text: &str) -> Result<(), serde_json::Error> {
    serde_json::from_str::<Walk>(text).map(|Walk| ())
}

/// Whether brackets nest at most `most` deep. A scan, so that it is safe on any input.
pub(crate) fn nests_within(text: &str, most: usize) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                if depth > most {
                    return false;
                }
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

/// Reads all of a JSON value and keeps nothing.
struct Walk;

impl<'de> Deserialize<'de> for Walk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Walk {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while let Some(Self) = items.next_element()? {}
        Ok(self)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self, A::Error> {
        while let Some((Self, Self)) = entries.next_entry()? {}
        Ok(self)
    }
}

/// A media type, taken apart (RFC 9110, section 8.3.1).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MediaType {
    /// `type/subtype` in lower case.
    pub(crate) essence: String,
    charset: Option<String>,
}

impl MediaType {
    /// Reads one; `None` when it breaks the grammar.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (essence, mut rest) = text.split_once(';').unwrap_or((text, ""));
        let essence = essence.trim_matches([' ', '\t']).to_ascii_lowercase();
        let (kind, subtype) = essence.split_once('/')?;
        if !is_token(kind) || !is_token(subtype) {
            return None;
        }
        let mut charset = None;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ';']);
            if rest.is_empty() {
                return Some(Self { essence, charset });
            }
            let (name, after) = rest.split_once('=')?;
            let (value, after) = parameter(after)?;
            if !is_token(name) {
                return None;
            }
            if name.eq_ignore_ascii_case("charset") {
                charset = Some(value.to_ascii_lowercase());
            }
            rest = after;
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.essence == "application/json" || self.essence == "text/json" || self.essence.ends_with("+json")
    }

    fn is_text(&self) -> bool {
        self.essence.starts_with("text/")
            || ["+xml", "/xml", "+yaml", "/yaml"].iter().any(|end| self.essence.ends_with(end))
    }

    fn charset_is_utf8(&self) -> bool {
        self.charset.as_deref().is_none_or(|charset| matches!(charset, "utf-8" | "utf8" | "us-ascii"))
    }
}

/// A parameter's value, a token or a quoted string, and what comes behind it.
fn parameter(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        let closed = rest.trim_start_matches([' ', '\t']);
        let sound = is_token(value) && (closed.is_empty() || closed.starts_with(';'));
        return sound.then(|| (value.to_owned(), closed));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => {
                let rest = quoted[at + 1..].trim_start_matches([' ', '\t']);
                return (rest.is_empty() || rest.starts_with(';')).then_some((value, rest));
            }
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str, declared: Option<&str>) -> Result<(String, Bytes), Reason> {
        settle(Content::Json(Bytes::copy_from_slice(text.as_bytes())), declared, 100)
            .map(|(kind, bytes)| (kind.as_str().to_owned(), bytes))
            .map_err(|refusal| refusal.reason)
    }

    #[test]
    fn a_json_content_is_left_untouched() {
        let (kind, bytes) = json("{\"a\" : 1.0}", None).unwrap();
        assert_eq!((kind.as_str(), &bytes[..]), ("application/json", &b"{\"a\" : 1.0}"[..]));
    }

    #[test]
    fn a_text_content_is_the_string_and_not_its_json() {
        let (kind, bytes) = json("\"gr\\u00fc\\u00df\"", Some("text/plain; charset=UTF-8")).unwrap();
        assert_eq!((kind.as_str(), &bytes[..]), ("text/plain; charset=UTF-8", "grüß".as_bytes()));
    }

    #[test]
    fn what_contradicts_its_content_type_is_refused() {
        for (text, declared) in [
            ("{}", "text/plain"),
            ("\"x\"", "image/png"),
            ("\"x\"", "text/plain; charset=latin1"),
            ("\"\\ud800\"", "application/json"),
            ("\"\\ud800\"", "text/plain"),
            ("1e999", "application/vnd.api+json"),
        ] {
            assert_eq!(
                json(text, Some(declared)).unwrap_err(),
                Reason::ContentMismatch,
                "{text} as {declared}"
            );
        }
    }

    #[test]
    fn depth_counts_brackets_outside_strings_only() {
        assert!(nests_within(r#"{"a":"[[[[\"[[","b":[1]}"#, 2));
        assert!(!nests_within("[[[1]]]", 2) && nests_within("[[],[],[]]", 2));
    }

    #[test]
    fn media_types_are_taken_apart_by_their_grammar() {
        let read = MediaType::parse("Text/Plain ; charset=\"utf-8\"; x=y").unwrap();
        assert_eq!(read.essence, "text/plain");
        assert!(read.is_text() && read.charset_is_utf8() && !read.is_json());
        for bad in
            ["", "json", "a/b/c", "a/ b", "a/b; charset", "a/b; c=\"x", "a/b; c=d e", "/b", "a/;", "a/b;=x"]
        {
            assert_eq!(MediaType::parse(bad), None, "{bad}");
        }
    }
}
