//! Server-sent events: frames come on one response, acknowledgements go by `POST /v1/ack` beside it. The stream is asked
//! for with `ack=explicit`: nothing counts as acknowledged because it was written to a connection.

mod posting;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};

use super::Options;
use super::connection::{Retry, Trouble};
use super::frames::ServerFrame;
use super::http::{self, ANSWER_DEADLINE};
use super::parser::{Item, Parser};
use posting::Posting;

/// Until `welcome` says how often the server is heard.
const FIRST_SILENCE: Duration = Duration::from_secs(60);

type Body = Pin<Box<dyn Stream<Item = Result<Bytes, reqwest::Error>> + Send>>;

/// One response that does not end.
pub(super) struct Connection {
    body: Body,
    parser: Parser,
    frames: VecDeque<String>,
    posting: Posting,
    silence: Duration,
    retry: Option<Duration>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("sse::Connection").field("posting", &self.posting).finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) async fn open(
        options: &Options,
        http: &reqwest::Client,
        cursor: Option<&str>,
    ) -> Result<Self, Trouble> {
        let mut request = http
            .get(format!("{}/v1/sse?ack=explicit&window={}", options.url, options.window))
            .bearer_auth(&options.token)
            .header("accept", "text/event-stream");
        if let Some(cursor) = cursor {
            request = request.header("last-event-id", cursor);
        }
        let response = tokio::time::timeout(ANSWER_DEADLINE, request.send())
            .await
            .map_err(|_elapsed| Trouble::network("no answer in time"))?
            .map_err(http::trouble)?;
        let response = http::accepted(response).await?;
        if response.status() == reqwest::StatusCode::NO_CONTENT {
            return Err(Trouble::new("told to stop", Retry::Never { code: "stopped".into() }));
        }
        Ok(Self {
            body: Box::pin(response.bytes_stream()),
            parser: Parser::default(),
            frames: VecDeque::new(),
            posting: Posting::new(http.clone(), options.url.clone(), options.token.clone()),
            silence: FIRST_SILENCE,
            retry: None,
        })
    }

    /// Cancel safe: what was read is kept.
    pub(super) async fn next(&mut self) -> Result<ServerFrame, Trouble> {
        loop {
            if let Some(text) = self.frames.pop_front() {
                let frame = ServerFrame::decode(&text).map_err(|error| Trouble::undecodable(&error))?;
                if let ServerFrame::Welcome(welcome) = &frame {
                    self.posting.session_is(&welcome.session);
                    self.silence = super::ws::silence_after(welcome.ping_ms);
                }
                return Ok(frame);
            }
            let retry = self.retry.map_or(Retry::Backoff, Retry::After);
            let read = tokio::select! {
                biased;
                read = tokio::time::timeout(self.silence, self.body.next()) => read,
                trouble = self.posting.go_on() => return Err(trouble),
            };
            let read = match read {
                Ok(Some(Ok(bytes))) => bytes,
                Ok(Some(Err(error))) => return Err(http::trouble(error)),
                Ok(None) => return Err(Trouble::new("the stream ended", retry)),
                Err(_elapsed) => return Err(Trouble::new("the server fell silent", retry)),
            };
            let mut items = Vec::new();
            self.parser
                .feed(&read, &mut items)
                .map_err(|_too_large| Trouble::network("a line is too large"))?;
            for item in items {
                match item {
                    Item::Data(text) => self.frames.push_back(text),
                    Item::Retry(millis) => self.retry = Some(Duration::from_millis(millis)),
                }
            }
        }
    }

    /// Everything up to `cursor` is processed; it is sent while [`Connection::next`] or [`Connection::settle`] runs.
    pub(super) fn acknowledge(&mut self, cursor: &str) {
        self.posting.owe(cursor);
    }

    /// Waits until the server has said that it took every acknowledgement.
    pub(super) async fn settle(&mut self) -> Result<(), Trouble> {
        tokio::time::timeout(ANSWER_DEADLINE, self.posting.settle())
            .await
            .unwrap_or_else(|_elapsed| Err(Trouble::network("no answer in time")))
    }
}
