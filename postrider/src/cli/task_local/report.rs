//! What an attempt came to, as people and samples read it.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postrider_executor::sandbox::{Answer, Level, Output, Report};
use serde_json::{Map, Value, json};

use super::sample::is_text;
use crate::cli::print;

/// The answer as a command writes it, or the failure with its code.
pub(super) fn told(report: &Report) -> Value {
    match &report.answer {
        Ok(Answer::Done(outputs)) => json!({"ok": outputs.iter().map(output).collect::<Vec<_>>()}),
        Ok(Answer::Retry { reason, after }) => {
            let after_ms = after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
            json!({"retry": stated([("reason", Some(json!(reason))), ("after_ms", after_ms.map(Value::from))])})
        }
        Ok(Answer::Rejected { reason }) => json!({"reject": {"reason": reason}}),
        Err(failure) => json!({"failure": {"code": failure.code(), "reason": failure.to_string()}}),
    }
}

fn output(output: &Output) -> Value {
    let text = std::str::from_utf8(&output.content).ok();
    let value = match text {
        Some(text) if is_text(&output.content_type) => Some(json!(text)),
        Some(text) => serde_json::from_str(text).ok(),
        None => None,
    };
    let base64 = value.is_none().then(|| json!(STANDARD.encode(&output.content)));
    let metadata = output.metadata.as_deref().and_then(|metadata| serde_json::from_str(metadata).ok());
    let ttl_ms = output.ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
    stated([
        ("type", Some(json!(output.kind.as_str()))),
        ("content_type", Some(json!(output.content_type.as_str()))),
        ("content", value),
        ("content_base64", base64),
        ("recipient", output.recipient.as_ref().map(|recipient| json!(recipient.as_str()))),
        ("metadata", metadata),
        ("urgency", output.urgency.map(|urgency| json!(urgency))),
        ("ttl_ms", ttl_ms.map(Value::from)),
    ])
}

fn stated<const FIELDS: usize>(fields: [(&str, Option<Value>); FIELDS]) -> Value {
    let there = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(there.collect::<Map<_, _>>())
}

/// Whether an answer has all that is expected of it: each output, and of each the fields that are stated.
pub(super) fn agrees(expected: &Value, told: &Value) -> bool {
    match (expected.as_object(), told.as_object()) {
        (Some(expected), Some(told)) if expected.len() == 1 => {
            expected.iter().all(|(word, expected)| match (expected, told.get(word)) {
                (Value::Array(expected), Some(Value::Array(told))) => {
                    expected.len() == told.len()
                        && expected.iter().zip(told).all(|(expected, told)| has_fields(expected, told))
                }
                (expected, Some(told)) => has_fields(expected, told),
                (_expected, None) => false,
            })
        }
        _others => false,
    }
}

fn has_fields(expected: &Value, told: &Value) -> bool {
    match expected.as_object() {
        Some(fields) => fields.iter().all(|(name, value)| told.get(name) == Some(value)),
        None => expected == told,
    }
}

/// What it took.
pub(super) fn usage(report: &Report) -> String {
    format!("{} fuel, {} bytes of memory", report.usage.fuel, report.usage.memory_bytes)
}

/// Its log, as part of the result.
pub(super) fn log(report: &Report) -> io::Result<()> {
    lines(report).iter().try_for_each(print::line)
}

/// Its log, beside the result.
pub(super) fn log_beside(report: &Report) {
    lines(report).iter().for_each(print::note);
}

fn lines(report: &Report) -> Vec<String> {
    let word = |level: Level| match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    };
    let mut lines: Vec<String> = report
        .log
        .iter()
        .map(|line| format!("  {}: {}", word(line.level), print::harmless(&line.text)))
        .collect();
    if report.log_dropped_bytes > 0 {
        lines.push(format!("  {} bytes of its log were dropped", report.log_dropped_bytes));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_stated_is_not_compared() {
        let told = json!({"ok": [{"type": "a", "content": {"n": 1, "m": 2}}, {"type": "b"}]});
        for (agreed, expected) in [
            (true, json!({"ok": [{"type": "a"}, {}]})),
            (true, json!({"ok": [{"content": {"n": 1, "m": 2}}, {"type": "b"}]})),
            (false, json!({"ok": [{"content": {"n": 1}}, {}]})),
            (false, json!({"ok": [{"type": "a"}]})),
            (false, json!({"reject": {}})),
            (false, json!({})),
            (false, json!("ok")),
        ] {
            assert_eq!(agrees(&expected, &told), agreed, "{expected}");
        }
        assert!(agrees(
            &json!({"failure": {"code": "fuel"}}),
            &json!({"failure": {"code": "fuel", "reason": "…"}})
        ));
    }
}
