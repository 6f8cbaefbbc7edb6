//! The producers: each has its own recipients and sends to them in turn over a kept connection, the next request only
//! after the answer to the last, so that the order of a recipient's notifications is known.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) notifications: u64,
    pub(crate) recipients: u64,
    pub(crate) producers: u64,
    pub(crate) batch: u64,
    /// Notifications per second over all producers; 0: as fast as answers come.
    pub(crate) rate: u64,
    pub(crate) content_bytes: usize,
}

impl Plan {
    /// How many notifications `producer` sends.
    fn share(&self, producer: u64) -> u64 {
        spread(self.notifications, self.producers, producer)
    }

    /// How many recipients are `producer`'s.
    fn recipients_of(&self, producer: u64) -> u64 {
        spread(self.recipients, self.producers, producer)
    }

    /// How many notifications `recipient` gets.
    pub(crate) fn share_of_recipient(&self, recipient: u64) -> u64 {
        let producer = recipient % self.producers;
        spread(self.share(producer), self.recipients_of(producer), recipient / self.producers)
    }

    /// The `k`th notification of `producer`: to whom, and the how manieth of theirs.
    fn item(&self, producer: u64, k: u64) -> (u64, u64) {
        let own = self.recipients_of(producer);
        (producer + self.producers * (k % own), k / own)
    }

    /// When the request that begins with the `k`th of `producer` is due, from the start.
    fn due(&self, producer: u64, k: u64) -> Option<Duration> {
        let requests_before = k / self.batch * self.producers + producer;
        (self.rate > 0)
            .then(|| Duration::from_secs_f64((requests_before * self.batch) as f64 / self.rate as f64))
    }
}

/// `total` dealt out to `hands` in turn: what the `hand`th gets.
fn spread(total: u64, hands: u64, hand: u64) -> u64 {
    total / hands + u64::from(hand < total % hands)
}

/// The name of a recipient of this run.
pub(crate) fn name(run: &str, recipient: u64) -> String {
    format!("smoke-{run}-{recipient}")
}

/// What a producer was answered.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    pub(crate) accepted: Vec<String>,
    pub(crate) refused: u64,
    /// The first refusal, for whoever has to find out.
    pub(crate) why: Option<String>,
    /// When the last answer came, from the start.
    pub(crate) last: Duration,
}

/// What all producers share.
#[derive(Debug)]
pub(crate) struct Producers {
    pub(crate) plan: Plan,
    pub(crate) receiver: SocketAddr,
    pub(crate) api_key: String,
    pub(crate) run: String,
    pub(crate) http: reqwest::Client,
    pub(crate) start: Instant,
}

#[derive(Deserialize)]
struct Single {
    id: String,
}

#[derive(Deserialize)]
struct Batch {
    results: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    id: Option<String>,
    problem: Option<Value>,
}

impl Producers {
    /// Sends `producer`'s share.
    pub(crate) async fn send(self: Arc<Self>, producer: u64) -> Answered {
        let mut answered = Answered::default();
        let (mut k, share) = (0, self.plan.share(producer));
        while k < share {
            let due = self.plan.due(producer, k);
            if let Some(due) = due {
                tokio::time::sleep_until(self.start + due).await;
            }
            let at = due.unwrap_or_else(|| self.start.elapsed());
            let end = share.min(k + self.plan.batch);
            let items: Vec<Value> = (k..end).map(|k| self.notification(producer, k, at)).collect();
            let asked = items.len() as u64;
            match self.post(items).await {
                Ok(items) => {
                    let before = answered.accepted.len();
                    answered.accepted.extend(items.iter().filter_map(|item| item.id.clone()));
                    answered.refused += asked - (answered.accepted.len() - before) as u64;
                    let problem = items.into_iter().find_map(|item| item.problem);
                    answered.why = answered.why.or(problem.map(|problem| problem.to_string()));
                }
                Err(error) => {
                    answered.refused += asked;
                    answered.why = answered.why.or(Some(format!("{error:#}")));
                }
            }
            answered.last = self.start.elapsed();
            k = end;
        }
        answered
    }

    fn notification(&self, producer: u64, k: u64, at: Duration) -> Value {
        let (recipient, n) = self.plan.item(producer, k);
        let at = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        let pad = "x".repeat(self.plan.content_bytes);
        json!({"to": {"recipient": name(&self.run, recipient)}, "type": "smoke",
               "content": {"n": n, "at": at, "pad": pad}})
    }

    async fn post(&self, mut items: Vec<Value>) -> anyhow::Result<Vec<Item>> {
        let alone = self.plan.batch == 1;
        let path = if alone { "notifications" } else { "notifications/batch" };
        let body = if alone { items.swap_remove(0) } else { Value::Array(items) };
        let url = format!("http://{}/v1/{path}", self.receiver);
        let request = self.http.post(url).bearer_auth(&self.api_key).json(&body).timeout(ANSWER_WITHIN);
        let answer = request.send().await?;
        if !answer.status().is_success() {
            anyhow::bail!("{} {}", answer.status(), answer.text().await?);
        }
        if alone {
            let Single { id } = answer.json().await?;
            return Ok(vec![Item { id: Some(id), problem: None }]);
        }
        Ok(answer.json::<Batch>().await?.results)
    }
}
