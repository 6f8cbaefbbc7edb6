//! What a stream owes the server: the furthest cursor, told by one request at a time, again until it is taken. The stream
//! is read meanwhile; a node that does not answer `POST /v1/ack` holds nothing up.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use shared::retry::Backoff;
use tokio::time::Instant;

use crate::client::connection::{Retry, Trouble};
use crate::client::http;

/// Between two requests, the first of which failed.
const BACKOFF: Backoff = Backoff { base: Duration::from_millis(250), cap: Duration::from_secs(5) };

type Answer = Pin<Box<dyn Future<Output = Result<bool, Trouble>> + Send>>;

pub(super) struct Posting {
    http: reqwest::Client,
    url: String,
    token: String,
    session: String,
    /// The furthest cursor that the server has not taken yet.
    owed: Option<String>,
    /// The request that is on its way, and the cursor in it.
    asked: Option<(String, Answer)>,
    attempt: u32,
    due: Instant,
}

impl fmt::Debug for Posting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Posting")
            .field("session", &self.session)
            .field("owed", &self.owed)
            .finish_non_exhaustive()
    }
}

impl Posting {
    pub(super) fn new(http: reqwest::Client, url: String, token: String) -> Self {
        let due = Instant::now();
        Self { http, url, token, session: String::new(), owed: None, asked: None, attempt: 0, due }
    }

    /// The session that the acknowledgements are of.
    pub(super) fn session_is(&mut self, session: &str) {
        session.clone_into(&mut self.session);
    }

    pub(super) fn owe(&mut self, cursor: &str) {
        self.owed = Some(cursor.to_owned());
    }

    /// Sends what is owed, for as long as it is awaited; answers only when sending again is of no use. Cancel safe.
    pub(super) async fn go_on(&mut self) -> Trouble {
        loop {
            if let Err(trouble) = self.settle().await {
                return trouble;
            }
            std::future::pending::<()>().await;
        }
    }

    /// Sends what is owed until all of it is taken. Cancel safe.
    pub(super) async fn settle(&mut self) -> Result<(), Trouble> {
        while let Some(owed) = &self.owed {
            let (cursor, answer) = match &mut self.asked {
                Some(asked) => asked,
                None => {
                    tokio::time::sleep_until(self.due).await;
                    let answer = http::acknowledge(&self.http, &self.url, &self.token, &self.session, owed);
                    self.asked.insert((owed.clone(), Box::pin(answer)))
                }
            };
            let taken = answer.await;
            let all = *cursor == *owed;
            self.asked = None;
            let least = match taken {
                Ok(true) => {
                    self.attempt = 0;
                    self.owed.take_if(|_| all);
                    continue;
                }
                // While the stream lives there is a session: the registry has not heard of it yet.
                Ok(false) => Duration::ZERO,
                Err(Trouble { retry: Retry::Never { code }, why }) => {
                    return Err(Trouble::new(why, Retry::Never { code }));
                }
                Err(Trouble { retry: Retry::After(least), .. }) => least,
                Err(Trouble { retry: Retry::Backoff, why }) => {
                    tracing::debug!(why, "acknowledging failed");
                    Duration::ZERO
                }
            };
            self.due = Instant::now() + least.max(BACKOFF.delay(self.attempt, rand::random()));
            self.attempt = self.attempt.saturating_add(1);
        }
        Ok(())
    }
}
