//! The producers: an open loop at a stated rate, singly and in batches, each try with a mark of its own. What may succeed
//! later is tried again, as a good producer does; what is not answered is written down as unknown.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::mix::{Manner, Mix};
use super::{Places, name};
use crate::stack::ledger::Ledger;
use crate::stack::ledger::entry::{Answer, Entry};

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// Longest wait before another try.
const AGAIN_WITHIN: Duration = Duration::from_secs(2);

/// What all producers share.
pub struct Producers {
    pub mix: Mix,
    pub places: Places,
    pub ledger: Ledger,
    pub http: reqwest::Client,
    /// The next mark.
    pub next: AtomicU64,
    /// Notifications that were not offered since too many were under way.
    pub held_back: AtomicU64,
    pub stop: CancellationToken,
}

/// One notification, however often it is tried.
#[derive(Clone, Copy)]
struct Wish {
    recipient: u32,
    ttl_s: u32,
    refuse: bool,
}

impl Producers {
    /// One producer until it is told to stop; what is under way then is waited for.
    pub async fn produce(self: Arc<Self>, number: u32, seed: u64) {
        let mut random = StdRng::seed_from_u64(seed ^ u64::from(number));
        let under_way = Arc::new(Semaphore::new(self.mix.under_way));
        let mut requests = JoinSet::new();
        let interval = Duration::from_secs_f64(f64::from(self.mix.producers) / f64::from(self.mix.rate));
        let mut due = Instant::now() + interval * number / self.mix.producers;
        for round in 0_u32.. {
            if self.stop.run_until_cancelled(tokio::time::sleep_until(due)).await.is_none() {
                break;
            }
            let is_batch =
                self.mix.batch_every > 0 && round % self.mix.batch_every == self.mix.batch_every - 1;
            let count = if is_batch { self.mix.batch } else { 1 };
            due += interval * count;
            let wishes: Vec<Wish> = (0..count).map(|_| self.wish(&mut random)).collect();
            if let Ok(permit) = Arc::clone(&under_way).try_acquire_many_owned(count) {
                let (producers, seed) = (Arc::clone(&self), random.random());
                requests.spawn(async move {
                    producers.fulfil(wishes, seed).await;
                    drop(permit);
                });
            } else {
                self.held_back.fetch_add(u64::from(count), Ordering::Relaxed);
            }
            while let Some(done) = requests.try_join_next() {
                done.unwrap();
            }
        }
        while let Some(done) = requests.join_next().await {
            done.unwrap();
        }
    }

    fn wish(&self, random: &mut StdRng) -> Wish {
        let recipient = random.random_range(0..self.mix.recipients);
        let away = self.mix.manner(recipient) == Manner::Offline;
        let is_short = away && random.random_ratio(self.mix.short_lived_percent, 100);
        let refuse = self.mix.can_refuse(recipient) && random.random_ratio(self.mix.refused_percent, 100);
        Wish { recipient, ttl_s: if is_short { 2 } else { 0 }, refuse }
    }

    /// Tries until each is answered for good, or the load stops.
    async fn fulfil(&self, mut wishes: Vec<Wish>, seed: u64) {
        let mut random = StdRng::seed_from_u64(seed);
        let mut pause = Duration::from_millis(50);
        while !wishes.is_empty() {
            let tries: Vec<u64> = wishes.iter().map(|wish| self.ask(*wish)).collect();
            let (answers, after) = self.post(&wishes, &tries).await;
            for (attempt, (answer, _again)) in tries.iter().zip(&answers) {
                self.ledger.write(Entry::Answered { attempt: *attempt, answer: *answer });
            }
            let mut outcomes = answers.iter();
            wishes.retain(|_| outcomes.next().is_some_and(|(_, again)| *again));
            let wait = after.unwrap_or(pause).min(AGAIN_WITHIN).mul_f64(random.random_range(0.5..1.5));
            pause = (pause * 2).min(AGAIN_WITHIN);
            if wishes.is_empty() || self.stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                return;
            }
        }
    }

    fn ask(&self, Wish { recipient, ttl_s, refuse }: Wish) -> u64 {
        let attempt = self.next.fetch_add(1, Ordering::Relaxed);
        self.ledger.write(Entry::Asked { attempt, recipient, ttl_s, refuse });
        attempt
    }

    fn body(&self, wish: Wish, attempt: u64) -> Value {
        let content = json!({"n": attempt, "refuse": wish.refuse, "pad": "x".repeat(self.mix.content_bytes)});
        let mut body =
            json!({"to": {"recipient": name(wish.recipient)}, "type": "ledger", "content": content});
        if wish.ttl_s > 0 {
            body["ttl"] = json!(wish.ttl_s);
        }
        body
    }

    /// What each was answered and whether to try it again, and how long to wait before that.
    async fn post(&self, wishes: &[Wish], tries: &[u64]) -> (Vec<(Answer, bool)>, Option<Duration>) {
        let mut bodies: Vec<Value> =
            wishes.iter().zip(tries).map(|(wish, attempt)| self.body(*wish, *attempt)).collect();
        let is_single = bodies.len() == 1;
        let (path, body) = if is_single {
            ("notifications", bodies.swap_remove(0))
        } else {
            ("notifications/batch", Value::Array(bodies))
        };
        let all = |answer: (Answer, bool)| vec![answer; tries.len()];
        let url = format!("{}/v1/{path}", self.places.receiver(tries[0]));
        let request =
            self.http.post(url).bearer_auth(&self.places.api_key).json(&body).timeout(ANSWER_WITHIN);
        let answer = match request.send().await {
            Ok(answer) => answer,
            // Nobody was there, so nobody has it.
            Err(error) if error.is_connect() => return (all((Answer::Refused, true)), None),
            Err(_no_answer) => return (all((Answer::Unknown, true)), None),
        };
        let after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let (status, body) = (answer.status().as_u16(), answer.json::<Value>().await);
        let answers = match body {
            Ok(body) if status == 200 && !is_single => {
                let results = body["results"].as_array().map_or(&[][..], Vec::as_slice);
                assert_eq!(results.len(), tries.len(), "a result for each: {body}");
                results
                    .iter()
                    .map(|result| one(result["status"].as_u64(), result, &result["problem"]))
                    .collect()
            }
            Ok(body) => all(one(Some(u64::from(status)), &body, &body)),
            Err(_broken_off) => all((Answer::Unknown, true)),
        };
        (answers, after.map(Duration::from_secs))
    }
}

/// What an answer says of one notification, and whether to try it again.
fn one(status: Option<u64>, body: &Value, problem: &Value) -> (Answer, bool) {
    if status == Some(202) {
        let id = body["id"].as_str().and_then(|id| id.parse().ok());
        return (Answer::Accepted(id.unwrap_or_else(|| panic!("202 without an id: {body}"))), false);
    }
    let again = problem["retryable"].as_bool().unwrap_or(true);
    match problem["code"].as_str() {
        // Said before anything was given to the log.
        Some("overloaded" | "credentials-unavailable" | "draining" | "body-timeout") => {
            (Answer::Refused, again)
        }
        Some(code) if status.is_some_and(|status| status < 500 && status != 429) => {
            panic!("a good producer is refused: {code} {body}")
        }
        Some(_) | None => (Answer::Unknown, again),
    }
}
