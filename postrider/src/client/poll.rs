//! Long-poll: each request says by its cursor what is processed, each answer brings what comes next.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use shared::position::Cursor;

use super::Options;
use super::connection::Trouble;
use super::frames::{ServerFrame, Welcome};
use super::http::{self, ANSWER_DEADLINE};

/// How long the server waits for something to come.
const WAIT: Duration = Duration::from_secs(25);
/// Between requests while the caller has not processed what it was given: the same cursor brings the same answer.
const UNPROCESSED_PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Connection {
    http: reqwest::Client,
    url: String,
    token: String,
    window: u32,
    session: Option<String>,
    /// Up to where the caller has processed.
    cursor: Option<String>,
    /// Where the last answer ended.
    given: Option<String>,
    frames: VecDeque<ServerFrame>,
}

#[derive(Deserialize)]
struct Answer {
    session: String,
    cursor: String,
    notifications: Vec<Box<RawValue>>,
    #[serde(default)]
    gaps: Vec<Box<RawValue>>,
}

impl Answer {
    /// Where the session starts that was asked for without a cursor. The answer's own stands behind what it brings, which
    /// is not processed yet.
    fn start(&self) -> String {
        let brings_nothing = self.notifications.is_empty() && self.gaps.is_empty();
        match Cursor::decode(&self.cursor) {
            Ok(cursor) if !brings_nothing => Cursor::start(cursor.epoch, cursor.partition).encode(),
            Ok(_) | Err(_) => self.cursor.clone(),
        }
    }
}

impl Connection {
    pub(super) fn open(options: &Options, http: &reqwest::Client, cursor: Option<&str>) -> Self {
        Self {
            http: http.clone(),
            url: options.url.clone(),
            token: options.token.clone(),
            window: options.window,
            session: None,
            cursor: cursor.map(str::to_owned),
            given: None,
            frames: VecDeque::new(),
        }
    }

    /// Cancel safe: an answer that nobody read is given again, for the same cursor.
    pub(super) async fn next(&mut self) -> Result<ServerFrame, Trouble> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Ok(frame);
            }
            if self.given.is_some() && self.given != self.cursor {
                tokio::time::sleep(UNPROCESSED_PAUSE).await;
            }
            let answer = self.ask().await?;
            self.take(answer)?;
        }
    }

    pub(super) fn processed(&mut self, cursor: &str) {
        self.cursor = Some(cursor.to_owned());
    }

    /// Acknowledges the last answer when there will be no next request.
    pub(super) async fn finish(&mut self, cursor: &str) -> Result<(), Trouble> {
        match &self.session {
            // A session that is over has given back what it was not told of; the next one is told by its cursor.
            Some(session) => {
                http::acknowledge(&self.http, &self.url, &self.token, session, cursor).await.map(drop)
            }
            None => Ok(()),
        }
    }

    async fn ask(&self) -> Result<Answer, Trouble> {
        let wait = if self.session.is_some() { WAIT } else { Duration::ZERO };
        let mut query = vec![("wait", wait.as_millis().to_string()), ("window", self.window.to_string())];
        query.extend(self.cursor.iter().map(|cursor| ("cursor", cursor.clone())));
        query.extend(self.session.iter().map(|session| ("session", session.clone())));
        let query: Vec<String> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self
            .http
            .get(format!("{}/v1/poll?{}", self.url, query.join("&")))
            .bearer_auth(&self.token)
            .timeout(wait + ANSWER_DEADLINE);
        let response = http::accepted(request.send().await.map_err(http::trouble)?).await?;
        let body = response.bytes().await.map_err(http::trouble)?;
        serde_json::from_slice(&body).map_err(|error| Trouble::undecodable(&error))
    }

    fn take(&mut self, answer: Answer) -> Result<(), Trouble> {
        if self.session.is_none() {
            // Long-poll has no `welcome`; the first answer says the same.
            let welcome = Welcome {
                session: answer.session.clone(),
                cursor: self.cursor.clone().unwrap_or_else(|| answer.start()),
                stored: !answer.notifications.is_empty(),
                ping_ms: 0,
            };
            self.frames.push_back(ServerFrame::Welcome(welcome));
        }
        let mut frames = Vec::new();
        for raw in answer.notifications.iter().chain(&answer.gaps) {
            frames.push(ServerFrame::decode(raw.get()).map_err(|error| Trouble::undecodable(&error))?);
        }
        // Both lists count in one sequence.
        frames.sort_by_key(|frame| match frame {
            ServerFrame::Notification(notification) => notification.seq,
            ServerFrame::Gap(gap) => gap.seq,
            _other => 0,
        });
        if frames.is_empty() {
            self.cursor = Some(answer.cursor.clone());
        }
        self.frames.extend(frames);
        self.session = Some(answer.session);
        self.given = Some(answer.cursor);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use shared::position::{Epoch, PartitionId};

    use super::*;
    use crate::client::seen::{Admission, Seen};

    fn cursor(next: u64) -> String {
        Cursor { epoch: Epoch(1), partition: PartitionId(2), next }.encode()
    }

    /// What a session without a cursor gives of a first answer that stands at 4 and brings `notifications`.
    fn given(notifications: &[&str]) -> (String, Vec<String>) {
        let raw = |text: &&str| RawValue::from_string((*text).to_owned()).unwrap();
        let answer = Answer {
            session: "s".into(),
            cursor: cursor(4),
            notifications: notifications.iter().map(raw).collect(),
            gaps: Vec::new(),
        };
        let options = Options::new("http://127.0.0.1:1", "token");
        let http = http::client().unwrap();
        let mut connection = Connection::open(&options, &http, None);
        connection.take(answer).unwrap();
        let (mut start, mut ids, mut seen) = (String::new(), Vec::new(), Seen::default());
        for frame in connection.frames {
            match frame {
                ServerFrame::Welcome(welcome) => {
                    seen.start_from(&welcome.cursor);
                    start = welcome.cursor;
                }
                ServerFrame::Notification(came) if seen.admit(&came.id, &came.cursor) == Admission::New => {
                    ids.push(came.id);
                }
                other => panic!("{other:?}"),
            }
        }
        (start, ids)
    }

    #[test]
    fn what_the_first_answer_brings_is_not_taken_for_processed() {
        let notification = format!(
            r#"{{"frame":"notification","seq":1,"cursor":"{}","id":"i","type":"t","time":"2026-11-21T07:00:00.000Z",
                "content_type":"application/json","content":1}}"#,
            cursor(4)
        );
        assert_eq!(given(&[&notification]), (cursor(0), vec!["i".to_owned()]));
        assert_eq!(given(&[]), (cursor(4), Vec::new()));
    }
}
