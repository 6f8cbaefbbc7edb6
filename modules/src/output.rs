//! What a command answers with, see `docs/TASKS.md`.

use std::io::Write;

use serde_json::Value;

use crate::{Input, Reason};

/// What becomes of an input: outputs, or why there are none and never will be.
pub type Answer = Result<Vec<Output>, Reason>;

/// A notification to be published. It has the recipient, the urgency and the time to live of the input.
pub struct Output {
    /// What kind of thing happened.
    pub kind: String,
    /// The media type of the content.
    pub content_type: String,
    /// The content.
    pub content: Content,
    /// A JSON object as text.
    pub metadata: Option<String>,
}

/// A content as it stands in the answer.
pub enum Content {
    /// JSON text: the value of a JSON type, or a string of a text type.
    Json(String),
    /// What is of any other type.
    Base64(String),
}

impl Content {
    /// A value.
    pub fn of(value: &Value) -> Self {
        Self::Json(value.to_string())
    }
}

impl Output {
    fn write(&self, line: &mut String) {
        line.push_str("{\"type\":");
        line.push_str(&quoted(&self.kind));
        line.push_str(",\"content_type\":");
        line.push_str(&quoted(&self.content_type));
        match &self.content {
            Content::Json(json) => {
                line.push_str(",\"content\":");
                line.push_str(json);
            }
            Content::Base64(text) => {
                line.push_str(",\"content_base64\":");
                line.push_str(&quoted(text));
            }
        }
        if let Some(metadata) = &self.metadata {
            line.push_str(",\"metadata\":");
            line.push_str(metadata);
        }
        line.push('}');
    }
}

/// The whole life of a module: reads its input, lets `answer` answer it, and says so.
pub fn run(answer: impl FnOnce(&Input) -> Answer) {
    let line = written(&Input::read().and_then(|input| answer(&input)));
    let mut out = std::io::stdout();
    let said = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    if said.is_err() {
        // The host says why: the answer is larger than it takes.
        std::process::exit(1);
    }
}

fn written(answer: &Answer) -> String {
    let mut line = String::new();
    match answer {
        Ok(outputs) => {
            line.push_str("{\"ok\":[");
            for (at, output) in outputs.iter().enumerate() {
                if at > 0 {
                    line.push(',');
                }
                output.write(&mut line);
            }
            line.push_str("]}");
        }
        Err(reason) => {
            line.push_str("{\"reject\":{\"reason\":");
            line.push_str(&quoted(reason));
            line.push_str("}}");
        }
    }
    line.push('\n');
    line
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}
