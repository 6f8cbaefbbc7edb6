//! By long-poll: asking with a cursor acknowledges.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value;
use shared::position::Cursor;

use super::{ANSWER_WITHIN, Door, Heard, Trouble, read};

/// How long the server waits for something to come.
const WAIT: Duration = Duration::from_secs(20);

pub struct Connection {
    http: reqwest::Client,
    url: String,
    token: String,
    session: Option<String>,
    cursor: Option<String>,
    ready: VecDeque<Heard>,
    /// The request that is out.
    asking: Option<tokio::task::JoinHandle<Result<Value, Trouble>>>,
}

impl Connection {
    pub(super) fn new(door: &Door<'_>) -> Self {
        Self {
            http: door.http.clone(),
            url: door.url.clone(),
            token: door.token.to_owned(),
            session: None,
            cursor: door.cursor.clone(),
            ready: VecDeque::new(),
            asking: None,
        }
    }

    pub(super) async fn next(&mut self) -> Result<Heard, Trouble> {
        if let Some(heard) = self.ready.pop_front() {
            return Ok(heard);
        }
        let asking = self.asking.take().unwrap_or_else(|| self.ask());
        // Kept while it is awaited: whoever stops waiting loses no answer.
        let answer = self.asking.insert(asking).await.map_err(|error| error.to_string())?;
        self.asking = None;
        self.take(&answer?)?;
        Ok(self.ready.pop_front().unwrap_or(Heard::Alive))
    }

    fn ask(&self) -> tokio::task::JoinHandle<Result<Value, Trouble>> {
        let wait = if self.session.is_some() { WAIT } else { Duration::ZERO };
        let mut query = format!("wait={}", wait.as_millis());
        for (name, value) in [("cursor", &self.cursor), ("session", &self.session)] {
            if let Some(value) = value {
                query.push_str(&format!("&{name}={value}"));
            }
        }
        let request = self
            .http
            .get(format!("{}/v1/poll?{query}", self.url))
            .bearer_auth(&self.token)
            .timeout(wait + ANSWER_WITHIN);
        tokio::spawn(async move {
            let answer = request.send().await.map_err(|error| error.to_string())?;
            let status = answer.status();
            let body: Value = answer.json().await.map_err(|error| error.to_string())?;
            if status == 200 { Ok(body) } else { Err(format!("{status}: {body}")) }
        })
    }

    fn take(&mut self, answer: &Value) -> Result<(), Trouble> {
        let cursor = answer["cursor"].as_str().ok_or_else(|| format!("no cursor in {answer}"))?;
        if self.session.is_none() {
            self.ready.push_back(Heard::Opened);
        }
        self.session = answer["session"].as_str().map(str::to_owned);
        let lists =
            ["notifications", "gaps"].map(|name| answer[name].as_array().map_or(&[][..], Vec::as_slice));
        let mut frames: Vec<&Value> = lists.into_iter().flatten().collect();
        frames.sort_by_key(|frame| frame["seq"].as_u64());
        if frames.is_empty() {
            self.cursor = Some(cursor.to_owned());
        }
        for frame in frames {
            self.ready.extend(read(frame)?);
        }
        Ok(())
    }

    pub(super) fn processed(&mut self, cursor: Cursor) {
        self.cursor = Some(cursor.encode());
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(asking) = &self.asking {
            asking.abort();
        }
    }
}
