//! Over server-sent events, acknowledging by `POST /v1/ack`.

use std::collections::VecDeque;
use std::pin::Pin;

use futures_util::{Stream, StreamExt as _};
use serde_json::{Value, json};
use shared::position::Cursor;

use super::{ANSWER_WITHIN, Door, Heard, Trouble, read};

pub struct Connection {
    http: reqwest::Client,
    url: String,
    token: String,
    session: Option<String>,
    body: Pin<Box<dyn Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    buffer: Vec<u8>,
    ready: VecDeque<Heard>,
}

impl Connection {
    pub(super) async fn open(door: &Door<'_>) -> Result<Self, Trouble> {
        let mut request = door
            .http
            .get(format!("{}/v1/sse?ack=explicit", door.url))
            .bearer_auth(door.token)
            .header("accept", "text/event-stream");
        if let Some(cursor) = &door.cursor {
            request = request.header("last-event-id", cursor);
        }
        let answer = request.send().await.map_err(|error| error.to_string())?;
        if answer.status() != 200 {
            return Err(format!("{}: {}", answer.status(), answer.text().await.unwrap_or_default()));
        }
        Ok(Self {
            http: door.http.clone(),
            url: door.url.clone(),
            token: door.token.to_owned(),
            session: None,
            body: Box::pin(answer.bytes_stream()),
            buffer: Vec::new(),
            ready: VecDeque::new(),
        })
    }

    pub(super) async fn next(&mut self) -> Result<Heard, Trouble> {
        if let Some(heard) = self.ready.pop_front() {
            return Ok(heard);
        }
        let chunk = self.body.next().await.ok_or("the stream ended")?.map_err(|error| error.to_string())?;
        self.buffer.extend_from_slice(&chunk);
        while let Some(end) = self.buffer.windows(2).position(|two| two == b"\n\n") {
            let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
            let block = String::from_utf8(block).map_err(|error| error.to_string())?;
            // One without an event is a comment, which is a heartbeat.
            let Some(text) = block.lines().find_map(|line| line.strip_prefix("data:")) else { continue };
            let frame: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
            if let Some(session) = frame["session"].as_str() {
                self.session = Some(session.to_owned());
            }
            self.ready.extend(read(&frame)?);
        }
        Ok(self.ready.pop_front().unwrap_or(Heard::Alive))
    }

    pub(super) async fn acknowledge(&mut self, cursor: Cursor) -> Result<(), Trouble> {
        let request = self.http.post(format!("{}/v1/ack", self.url)).bearer_auth(&self.token);
        let body = json!({"cursor": cursor.encode(), "session": self.session});
        let answer = request.json(&body).timeout(ANSWER_WITHIN).send().await;
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.status() == 200 { Ok(()) } else { Err(format!("acknowledging: {}", answer.status())) }
    }
}
