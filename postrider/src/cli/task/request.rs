//! What flags say of the task that somebody wants, as the API has it.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::{Value, json};

use crate::cli::failure::Failure;

/// Largest input that is read: above what any receiver takes, so that its own refusal is what one sees.
const INPUT_BYTES: u64 = 64 * 1024 * 1024;

/// A task.
#[derive(Args, Debug)]
pub(in crate::cli) struct Wanted {
    /// Whom it is for: whoever is told what it answers
    #[arg(long, value_name = "RECIPIENT")]
    to: String,
    /// Its input, JSON unless --content-type says otherwise; `-` reads standard input
    #[arg(long, value_name = "TEXT", default_value = "-")]
    input: String,
    /// Media type of the input
    #[arg(long, value_name = "TYPE", default_value = "application/json")]
    content_type: String,
    /// What kind of thing its input is
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// A word of yours, to find it by its beginning
    #[arg(long)]
    code: Option<String>,
    /// Tell the recipient of each change of its state
    #[arg(long)]
    progress: bool,
    /// How long it is worth being begun, in seconds
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u32>,
    /// very-low, low, normal or high
    #[arg(long)]
    urgency: Option<String>,
}

impl Wanted {
    /// The request, for `module`.
    pub(in crate::cli) fn request(&self, module: &str) -> Result<Value, Failure> {
        let mut request = json!({
            "module": module,
            "to": {"recipient": self.to},
            "content_type": self.content_type,
            "progress": self.progress,
        });
        let input = self.input()?;
        let is_json = self.content_type.split(';').next().is_some_and(|media| {
            let media = media.trim();
            media.ends_with("/json") || media.ends_with("+json")
        });
        if is_json {
            let value: Value = serde_json::from_slice(&input)
                .map_err(|error| Failure::usage(format_args!("the input is not JSON: {error}")))?;
            request["content"] = value;
        } else {
            request["content_base64"] = STANDARD.encode(&input).into();
        }
        let ttl = self.ttl.map(Value::from);
        let text = |text: &Option<String>| text.clone().map(Value::from);
        for (name, value) in [
            ("type", text(&self.kind)),
            ("code", text(&self.code)),
            ("urgency", text(&self.urgency)),
            ("ttl", ttl),
        ] {
            if let Some(value) = value {
                request[name] = value;
            }
        }
        Ok(request)
    }

    fn input(&self) -> Result<Vec<u8>, Failure> {
        if self.input != "-" {
            return Ok(self.input.as_bytes().to_vec());
        }
        let mut input = Vec::new();
        std::io::stdin().lock().take(INPUT_BYTES).read_to_end(&mut input)?;
        Ok(input)
    }
}
