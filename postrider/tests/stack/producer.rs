//! What producers and clients know of a stack, and a producer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::part::Part;

/// Signs the tokens of every stack.
pub const SECRET: &str = "a signing secret of the tests, longer than thirty-two bytes";

/// Every receiver and every distributor, as each listened last. One that is away is still listed: nobody tells clients.
/// Clones see what changes.
#[derive(Clone, Default)]
pub struct Addresses(Arc<Mutex<Listed>>);

#[derive(Default)]
struct Listed {
    receivers: Vec<String>,
    distributors: Vec<String>,
    /// The operators' ports of the directors.
    directors: Vec<String>,
    faults: Vec<(Part, Instant, Option<Instant>)>,
}

impl Addresses {
    pub fn set(&self, receivers: Vec<String>, distributors: Vec<String>, directors: Vec<String>) {
        let mut listed = self.0.lock().unwrap();
        (listed.receivers, listed.distributors, listed.directors) = (receivers, distributors, directors);
    }

    /// `part` is hurt from now on.
    pub fn hurt(&self, part: Part) {
        self.0.lock().unwrap().faults.push((part, Instant::now(), None));
    }

    /// Whatever was wrong with `part` is over.
    pub fn healed(&self, part: Part) {
        let mut listed = self.0.lock().unwrap();
        for (hurt, _, over) in &mut listed.faults {
            if *hurt == part {
                over.get_or_insert_with(Instant::now);
            }
        }
    }

    /// Every fault so far, from when to when.
    pub fn faults(&self) -> Vec<(Instant, Option<Instant>)> {
        self.0.lock().unwrap().faults.iter().map(|(_, from, to)| (*from, *to)).collect()
    }

    /// What the directors together say of `postrider_unaccounted`; none where nobody answers or knows it.
    pub async fn unaccounted(&self) -> Option<f64> {
        let directors = self.0.lock().unwrap().directors.clone();
        let mut sum = None;
        for url in directors {
            let request = http().get(format!("{url}/metrics")).timeout(Duration::from_secs(5));
            let Ok(answer) = request.send().await else { continue };
            let text = answer.text().await.unwrap_or_default();
            let lines = text.lines().filter(|line| line.starts_with("postrider_unaccounted"));
            for value in lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()) {
                *sum.get_or_insert(0.0) += value;
            }
        }
        sum
    }

    /// The receiver for the `attempt`-th try: the next in the list, and round again.
    pub fn receiver(&self, attempt: usize) -> String {
        let listed = self.0.lock().unwrap();
        listed.receivers[attempt % listed.receivers.len()].clone()
    }

    /// The distributor for the `attempt`-th try.
    pub fn distributor(&self, attempt: usize) -> String {
        let listed = self.0.lock().unwrap();
        listed.distributors[attempt % listed.distributors.len()].clone()
    }
}

/// A client token for `recipient`, good for a day.
pub fn token(recipient: &str) -> String {
    let claims =
        json!({"sub": recipient, "tenant": "default", "exp": jiff::Timestamp::now().as_second() + 86_400});
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
}

/// A producer with its key. It stays with one receiver until that one does not answer, then takes the next.
#[derive(Clone, Default)]
pub struct Producer {
    pub addresses: Addresses,
    attempt: Arc<AtomicUsize>,
    pub api_key: String,
}

impl Producer {
    /// The receiver it speaks to now.
    pub fn receiver(&self) -> String {
        self.addresses.receiver(self.attempt.load(Ordering::Relaxed))
    }

    /// POSTs `content` to `recipient` with a TTL in seconds; the id, or why it was not accepted.
    pub async fn try_send(
        &self,
        recipient: &str,
        content: &Value,
        ttl: Option<u64>,
    ) -> Result<String, String> {
        let mut body = json!({"to": {"recipient": recipient}, "type": "test", "content": content});
        if let Some(ttl) = ttl {
            body["ttl"] = json!(ttl);
        }
        let request = self.post("/v1/notifications").json(&body).timeout(Duration::from_secs(15));
        let answer = request.send().await.map_err(|error| {
            self.attempt.fetch_add(1, Ordering::Relaxed);
            error.to_string()
        })?;
        let status = answer.status();
        let body: Value = answer.json().await.map_err(|error| error.to_string())?;
        if status == 202 {
            Ok(body["id"].as_str().unwrap().to_owned())
        } else {
            Err(format!("{status} {body}"))
        }
    }

    /// The same, to put something there.
    pub fn put(&self, path: &str) -> reqwest::RequestBuilder {
        http().put(format!("{}{path}", self.receiver())).bearer_auth(&self.api_key)
    }

    /// A request to the producers' API, for tests that speak to it themselves.
    pub fn post(&self, path: &str) -> reqwest::RequestBuilder {
        http().post(format!("{}{path}", self.receiver())).bearer_auth(&self.api_key)
    }
}

/// A client that speaks to loopback only and needs no certificates.
pub fn http() -> reqwest::Client {
    static CLIENT: std::sync::OnceLock<()> = std::sync::OnceLock::new();
    CLIENT.get_or_init(|| {
        // A second installation (another test of this process) is refused, and the first one is as good.
        let _second = rustls::crypto::ring::default_provider().install_default();
    });
    reqwest::Client::builder().no_proxy().build().unwrap()
}
