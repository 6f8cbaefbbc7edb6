//! W3C Trace Context and Baggage as a producer sent them: what is well formed is carried on, what is not is dropped,
//! because tracing must never cost a delivery. Pure.

use shared::notification::Trace;

/// Most bytes of `tracestate` (W3C Trace Context, section 3.3.1.5: at least 512 must be carried).
const MAX_STATE_BYTES: usize = 512;
/// Most bytes of `baggage` (W3C Baggage, section 3.3.2).
const MAX_BAGGAGE_BYTES: usize = 8192;

/// Keeps what is well formed. `tracestate` without a `traceparent` means nothing and is dropped with it.
#[must_use]
pub(crate) fn carried(parent: Option<&str>, state: Option<&str>, baggage: Option<&str>) -> Trace {
    let parent = parent.map(str::trim).filter(|value| is_parent(value)).map(str::to_owned);
    let sound = |value: &&str, most: usize| {
        !value.is_empty() && value.len() <= most && value.bytes().all(|byte| (0x20..0x7f).contains(&byte))
    };
    let state = state.filter(|value| parent.is_some() && sound(value, MAX_STATE_BYTES)).map(str::to_owned);
    let baggage = baggage.filter(|value| sound(value, MAX_BAGGAGE_BYTES)).map(str::to_owned);
    Trace { parent, state, baggage }
}

/// `version-traceid-parentid-flags` (W3C Trace Context, section 3.2): later versions may carry more behind a dash.
fn is_parent(value: &str) -> bool {
    let hex = |part: &str, length: usize| {
        part.len() == length
            && part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    };
    let set = |part: &str| part.bytes().any(|byte| byte != b'0');
    let mut parts = value.splitn(5, '-');
    let mut next = || parts.next().unwrap_or_default();
    let (version, trace, span, flags) = (next(), next(), next(), next());
    let more = parts.next();
    hex(version, 2)
        && version != "ff"
        && (version != "00" || more.is_none())
        && value.len() <= 256
        && value.is_ascii()
        && hex(trace, 32)
        && set(trace)
        && hex(span, 16)
        && set(span)
        && hex(flags, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_sound_context_is_carried() {
        let trace = carried(Some(PARENT), Some("vendor=1"), Some("user=7"));
        assert_eq!(trace.parent.as_deref(), Some(PARENT));
        assert_eq!((trace.state.as_deref(), trace.baggage.as_deref()), (Some("vendor=1"), Some("user=7")));
    }

    #[test]
    fn a_bad_parent_takes_the_state_with_it_and_leaves_the_baggage() {
        let zeroes = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        let bad = [
            "",
            "junk",
            &PARENT.to_uppercase(),
            &format!("{PARENT}-x"),
            &PARENT.replace("00-", "ff-"),
            &zeroes,
        ];
        for parent in bad {
            let trace = carried(Some(parent), Some("vendor=1"), Some("user=7"));
            assert_eq!((trace.parent, trace.state), (None, None), "{parent}");
            assert_eq!(trace.baggage.as_deref(), Some("user=7"));
        }
    }

    #[test]
    fn what_is_too_long_or_has_control_characters_is_dropped() {
        let trace = carried(Some(PARENT), Some(&"s".repeat(513)), Some("a\tb"));
        assert_eq!((trace.state, trace.baggage), (None, None));
    }
}
