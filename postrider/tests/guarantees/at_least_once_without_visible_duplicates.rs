//! Promise 4: a redelivery carries the same id and position, and nobody is shown it twice.

use postrider::client::{Incoming, Listener, Notification, Options, Transport};
use serde_json::json;
use shared::log::kafka::Log;
use shared::log::{Appender as _, Ends as _, Entry, Reader as _};
use shared::position::PartitionId;
use shared::topic::Topic;

use crate::stack::clients::WebSocket;
use crate::stack::ledger::seen::Seen;
use crate::stack::{PATIENCE, Stack};

mod on_both {
    crate::on_both_columns!(
        two_sessions_of_one_recipient_each_get_everything,
        coming_back_with_a_cursor_repeats_nothing,
    );
}

async fn two_sessions_of_one_recipient_each_get_everything(pipeline: Stack) {
    let mut phone = WebSocket::connect(&pipeline, "alice", json!({})).await;
    let mut laptop = WebSocket::connect(&pipeline, "alice", json!({})).await;
    phone.next_named("drained").await;
    laptop.next_named("drained").await;
    let mut ids = Vec::new();
    for number in 0..40 {
        ids.push(pipeline.send("alice", &json!(number)).await);
    }
    let (mut on_phone, mut on_laptop) = (Seen::default(), Seen::default());
    for client in [(&mut phone, &mut on_phone), (&mut laptop, &mut on_laptop)] {
        let (socket, seen) = client;
        socket.take(40).await.into_iter().for_each(|received| {
            seen.take(received);
        });
        seen.balance(&ids, 0);
    }
}

async fn coming_back_with_a_cursor_repeats_nothing(pipeline: Stack) {
    let mut seen = Seen::default();
    let mut ids = Vec::new();
    for round in 0..4 {
        ids.push(pipeline.send("alice", &json!([round, "stored"])).await);
        let hello = seen.cursor().map_or(json!({}), |cursor| json!({"cursor": cursor}));
        let mut alice = WebSocket::connect(&pipeline, "alice", hello).await;
        assert!(seen.take(alice.next().await));
        ids.push(pipeline.send("alice", &json!([round, "live"])).await);
        // Seen, and not acknowledged: the cursor alone says that it was processed.
        assert!(seen.take(alice.next().await));
    }
    assert_eq!(seen.duplicates_on_the_wire, 0);
    seen.balance(&ids, 0);
}

/// As after a failover in which Kafka's driver appended some a second time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_on_the_log_twice_is_shown_once_on_every_transport() {
    let stack = Stack::distributed().await;
    let (log, kafka) = stack.log_settings();
    let log = Log::connect(&log, &kafka).await.unwrap();
    for (name, transport) in
        [("by-websocket", Transport::WebSocket), ("by-sse", Transport::Sse), ("by-poll", Transport::Poll)]
    {
        let options = Options::new(stack.distributor(), stack.token(name)).over(transport);
        let mut client = Listener::new(options).unwrap();
        let mut sent = Vec::new();
        for number in 0..3 {
            sent.push(stack.send(name, &json!(number)).await);
        }
        // One of them acknowledged, one shown, one still on its way.
        let mut shown = vec![next(&mut client).await];
        client.acknowledge(&shown[0].cursor);
        shown.push(next(&mut client).await);
        let copies = on_the_log(&log, &sent).await;
        assert!(log.append(Topic::Notifications, copies).await.iter().all(Result::is_ok));
        sent.push(stack.send(name, &json!("last")).await);
        while shown.len() < sent.len() {
            shown.push(next(&mut client).await);
            client.acknowledge(&shown[shown.len() - 1].cursor);
        }
        assert_eq!(shown.iter().map(|one| &*one.id).collect::<Vec<_>>(), sent, "{transport:?}");
    }
}

/// The next notification that a client library shows.
async fn next(client: &mut Listener) -> Notification {
    loop {
        let incoming = tokio::time::timeout(PATIENCE, client.next()).await.expect("something comes").unwrap();
        if let Incoming::Notification(notification) = incoming {
            return notification;
        }
    }
}

/// The records of `ids`, in order.
async fn on_the_log(log: &Log, ids: &[String]) -> Vec<Entry> {
    let mut found = Vec::new();
    for partition in (0..log.partitions()).map(PartitionId) {
        let (mut from, end) = (0, log.end(Topic::Notifications, partition).await.unwrap());
        while from < end {
            let records = log.read(Topic::Notifications, partition, from, end).await.unwrap();
            let Some(last) = records.last() else { break };
            from = last.offset + 1;
            found.extend(records.into_iter().map(|record| record.entry));
        }
    }
    let is_one = |entry: &Entry, id: &str| {
        entry.headers.iter().any(|(name, value)| name == "ce_id" && value == id.as_bytes())
    };
    ids.iter().map(|id| found.iter().find(|entry| is_one(entry, id)).unwrap().clone()).collect()
}
