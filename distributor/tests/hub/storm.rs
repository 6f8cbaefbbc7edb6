//! Clients that come and go at random while a director keeps forwarding, on several threads: every record gets exactly
//! one verdict each time it is forwarded, every client sees every position once and in order, and nothing is left over.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use postrider_distributor::hub::{Handle, Hub, Opened};
use postrider_distributor::session::Frame;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use shared::delivery::{SessionId, Verdict};
use shared::position::Cursor;
use shared::recipient::Recipient;

use crate::director::Director;
use crate::node::{Running, at, notification, opened, quick, recipient};

const RECIPIENTS: usize = 16;
const RECORDS: u64 = 60;

/// Which session each recipient was seen with last.
type Routes = Arc<Mutex<HashMap<Recipient, SessionId>>>;

struct Client {
    hub: Arc<Hub>,
    recipient: Recipient,
    routes: Routes,
    over: Arc<AtomicBool>,
    rng: StdRng,
    cursor: Option<Cursor>,
    seen: Vec<u64>,
}

impl Client {
    /// Connects again and again; answers the offsets it saw.
    async fn run(mut self) -> Vec<u64> {
        while !self.over.load(Ordering::SeqCst) {
            let handle = self.hub.open(Opened { cursor: self.cursor, ..opened(&self.recipient) }).unwrap();
            let _guard = handle.guard();
            self.routes.lock().unwrap().insert(self.recipient.clone(), handle.id());
            for _turn in 0..self.rng.random_range(1..8) {
                self.turn(&handle).await;
            }
        }
        self.seen
    }

    async fn turn(&mut self, handle: &Handle) {
        if tokio::time::timeout(Duration::from_millis(10), handle.ready()).await.is_err() {
            return;
        }
        for frame in handle.take(self.rng.random_range(1..4)) {
            let Frame::Notification { seq, position, .. } = frame else { continue };
            if self.cursor.is_none_or(|cursor| !cursor.covers(position)) {
                self.seen.push(position.offset);
                self.cursor = Some(Cursor::after(position));
            }
            if self.rng.random_bool(0.8) {
                handle.acknowledge(seq).unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn clients_that_come_and_go_see_everything_once_and_in_order() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let node = Running::start_with(quick()).await;
    let (routes, over) = (Routes::default(), Arc::new(AtomicBool::new(false)));
    let recipients: Vec<Recipient> = (0..RECIPIENTS).map(|index| recipient(&format!("r{index}"))).collect();
    let clients: Vec<_> = recipients
        .iter()
        .map(|recipient| Client {
            hub: Arc::clone(&node.hub),
            recipient: recipient.clone(),
            routes: Arc::clone(&routes),
            over: Arc::clone(&over),
            rng: StdRng::seed_from_u64(rng.random()),
            cursor: None,
            seen: Vec::new(),
        })
        .map(|client| tokio::spawn(client.run()))
        .collect();

    let mut director = Director::connect(&node.link).await;
    let route =
        |recipient: &Recipient| routes.lock().unwrap().get(recipient).copied().unwrap_or(SessionId(0));
    let forward = async |director: &Director, recipient: &Recipient, offset: u64| {
        let record = notification(recipient, &format!("n-{offset}"));
        director.forward(route(recipient), at(&node.hub, recipient, offset), 0, &record).await;
    };
    // One record of each recipient is in flight; its offset says whose it is.
    let mut next: Vec<u64> = (0..RECIPIENTS as u64).collect();
    for (recipient, offset) in recipients.iter().zip(&next) {
        forward(&director, recipient, *offset).await;
    }
    let mut in_flight = RECIPIENTS;
    while in_flight > 0 {
        let (_session, position, verdict) = director.verdict().await;
        let whose = position.offset as usize % RECIPIENTS;
        assert_eq!(position.offset, next[whose], "a record got a second verdict");
        match verdict {
            Verdict::Acknowledged => next[whose] += RECIPIENTS as u64,
            Verdict::Gone | Verdict::Spilled => tokio::time::sleep(Duration::from_millis(1)).await,
            Verdict::Expired | Verdict::Rejected(_) => panic!("{verdict:?}"),
        }
        if next[whose] < RECORDS * RECIPIENTS as u64 {
            forward(&director, &recipients[whose], next[whose]).await;
        } else {
            in_flight -= 1;
        }
    }
    over.store(true, Ordering::SeqCst);
    for (index, client) in clients.into_iter().enumerate() {
        let expected: Vec<u64> = (0..RECORDS).map(|nth| index as u64 + nth * RECIPIENTS as u64).collect();
        assert_eq!(client.await.unwrap(), expected, "seed {seed}");
    }
    assert!(node.hub.is_empty());
    node.stop().await;
}
