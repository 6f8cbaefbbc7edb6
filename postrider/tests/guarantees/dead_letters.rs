//! What can never be delivered costs the others nothing, can be looked at, and can be delivered after all.

mod poison;

use std::process::{Command, Stdio};
use std::time::Duration;

use postrider::client::{Incoming, Listener, Options};
use serde_json::{Value, json};

use crate::stack::clients::WebSocket;
use crate::stack::{Column, Fault, PATIENCE, Part, Plan, Stack, http};

mod on_both {
    crate::on_both_columns!(
        poison_becomes_dead_letters_with_reasons_and_the_partitions_move_on,
        what_a_client_refuses_is_requeued_in_order_once_and_only_then_delivered,
    );
}

/// Runs the command line as the operator, straight on the store.
fn operator(stack: &Stack, arguments: &[&str]) -> Vec<Value> {
    let data = stack.dir().join("data");
    let mut all = [&["dead-letters"], arguments, &["--store", "--json"]].concat();
    if stack.column == Column::Embedded {
        all.extend(["--data-dir", data.to_str().unwrap()]);
    }
    lines(&stack.cli(&all))
}

/// Runs the command line as a producer, by the API.
fn producer(stack: &Stack, arguments: &[&str]) -> Vec<Value> {
    let (url, key) = (stack.producer().receiver(), stack.producer().api_key);
    let access = ["--json", "--url", &url, "--api-key", &key];
    lines(&stack.cli(&[&["dead-letters"], arguments, &access].concat()))
}

fn lines(printed: &str) -> Vec<Value> {
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(waited.await.is_ok(), "not within {PATIENCE:?}: {what}");
}

async fn poison_becomes_dead_letters_with_reasons_and_the_partitions_move_on(mut stack: Stack) {
    let poisons = poison::all(stack.column);
    poison::append(&mut stack, &poisons).await;
    // Behind the poison, in the same partitions.
    for recipient in poison::RECIPIENTS {
        let id = stack.send(recipient, &json!("well")).await;
        let mut client = WebSocket::connect(&stack, recipient, json!({})).await;
        assert_eq!(client.take(1).await[0].id, id);
    }
    let list = ["list", "--limit", "500"];
    let all = async || operator(&stack, &list).len() == poisons.len();
    eventually("every poison is a dead letter", all).await;
    let letters = operator(&stack, &list);
    for poison in &poisons {
        let is_it = |letter: &&Value| letter["detail"].as_str().unwrap().contains(poison.detail);
        let letter = letters.iter().find(is_it).unwrap_or_else(|| panic!("{}: {letters:#?}", poison.detail));
        assert_eq!(letter["code"], poison.code, "{letter}");
        assert_eq!((&letter["state"], &letter["requeueable"]), (&json!("dead"), &json!(poison.requeueable)));
        assert_eq!(letter["coordinates"]["topic"], "notifications");
        let whole = operator(&stack, &["show", letter["id"].as_str().unwrap()]).remove(0);
        assert_eq!(whole["headers"].as_array().unwrap().len(), poison.entry.headers.len(), "{whole}");
        assert_eq!(whole["cut"], poison.cut);
    }
    // A producer sees what is its tenant's, and may not requeue what is no notification.
    let seen = producer(&stack, &list);
    let own = poisons.iter().filter(|poison| poison.entry.key.starts_with(b"default/")).count();
    assert_eq!(seen.len(), own);
    assert!(own < poisons.len());
    let malformed = producer(&stack, &["list", "--code", "malformed"]).remove(0);
    let id = malformed["id"].as_str().unwrap();
    assert_eq!(exit(&stack, &["requeue", id]), 4);
    assert_eq!(exit(&stack, &["requeue", "1-0-99999999"]), 4);
    assert_eq!(exit(&stack, &["requeue"]), 2);
    assert_eq!(exit(&stack, &["show", "nonsense"]), 2);
    // The operator forgets all of them but those that could go again.
    let forgotten = operator(&stack, &["discard", "--code", "malformed"]).remove(0);
    assert_eq!(forgotten["count"], poisons.iter().filter(|poison| poison.code == "malformed").count());
    assert_eq!(operator(&stack, &["show", id]).remove(0)["state"], "discarded");
}

/// The exit code of the command line as a producer.
fn exit(stack: &Stack, arguments: &[&str]) -> i32 {
    let (url, key) = (stack.producer().receiver(), stack.producer().api_key);
    let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
    command.arg("dead-letters").args(arguments).args(["--url", &url, "--api-key", &key]);
    let status =
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.unwrap().code().unwrap()
}

/// Sends `count` numbers to `recipient`, who refuses every one; answers their ids.
async fn refused(stack: &Stack, recipient: &str, count: usize) -> Vec<String> {
    let mut client = WebSocket::connect(stack, recipient, json!({})).await;
    client.next_named("drained").await;
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(stack.send(recipient, &json!(number)).await);
        let received = client.next().await;
        assert_eq!(received.id, ids[number]);
        client.say(&json!({"frame": "nack", "seq": received.seq, "code": "reject"})).await;
    }
    eventually("every refusal is a dead letter", async || {
        operator(stack, &["list", "--recipient", recipient, "--state", "dead", "--limit", "500"]).len()
            == count
    })
    .await;
    ids
}

async fn what_a_client_refuses_is_requeued_in_order_once_and_only_then_delivered(stack: Stack) {
    const COUNT: usize = 8;
    let ids = refused(&stack, "alice", COUNT).await;
    let kept = producer(&stack, &["list", "--recipient", "alice", "--code", "refused"]);
    assert_eq!(kept.len(), COUNT);
    let shown = producer(&stack, &["show", kept[COUNT - 1]["id"].as_str().unwrap()]).remove(0);
    assert_eq!((&shown["notification"], &shown["body"]), (&json!(ids[0]), &json!(0)));
    // Over the API as a stranger would: one of them is not wanted any more.
    let path = format!("{}/v1/dead-letters/{}", stack.producer().receiver(), kept[0]["id"].as_str().unwrap());
    let gone = http().delete(path).bearer_auth(stack.producer().api_key).send().await.unwrap();
    assert_eq!(gone.status(), 200);
    let counted = producer(&stack, &["requeue", "--recipient", "alice", "--dry-run"]).remove(0);
    assert_eq!(counted["count"], COUNT - 1);
    let mut alice = WebSocket::connect(&stack, "alice", json!({})).await;
    alice.next_named("drained").await;
    let asked = producer(&stack, &["requeue", "--recipient", "alice"]).remove(0);
    assert_eq!(asked["count"], COUNT - 1);
    let again = producer(&stack, &["requeue", "--all"]).remove(0);
    assert_eq!(again["count"], 0, "asking twice changes nothing");
    let delivered = alice.take(COUNT - 1).await;
    assert_eq!(delivered.iter().map(|one| one.id.clone()).collect::<Vec<_>>(), ids[..COUNT - 1]);
    assert!(delivered.windows(2).all(|pair| pair[0].position() < pair[1].position()));
    eventually("every one is requeued", async || {
        producer(&stack, &["list", "--state", "requeued"]).len() == COUNT - 1
    })
    .await;
    // Nothing else comes: what is sent now is next.
    let last = stack.send("alice", &json!("last")).await;
    assert_eq!(alice.next().await.id, last);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_director_killed_while_it_requeues_repeats_nothing_that_a_client_library_shows_embedded() {
    killed_while_it_requeues(Column::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_director_killed_while_it_requeues_repeats_nothing_that_a_client_library_shows_distributed() {
    killed_while_it_requeues(Column::Distributed).await;
}

async fn killed_while_it_requeues(column: Column) {
    const COUNT: usize = 60;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen: &'static str = format!("distributor.listen=127.0.0.1:{port}").leak();
    let part = if column == Column::Embedded { Part::Receiver(0) } else { Part::Distributor(0) };
    let settings = "[director.dead_letters]\nrequeue_rate = 40\nrequeue_poll_ms = 50\n".into();
    let mut stack =
        Stack::start(Plan { column, settings, settings_of: vec![(part, listen)], ..Plan::default() }).await;
    let ids = refused(&stack, "dave", COUNT).await;
    let options = Options::new(stack.distributor(), stack.token("dave"));
    let mut dave = Listener::new(options).unwrap();
    producer(&stack, &["requeue", "--all"]);
    let mut shown = Vec::new();
    for killed_at in [COUNT / 4, COUNT / 2, COUNT] {
        while shown.len() < killed_at {
            let incoming =
                tokio::time::timeout(PATIENCE, dave.next()).await.expect("something comes").unwrap();
            if let Incoming::Notification(notification) = incoming {
                dave.acknowledge(&notification.cursor);
                shown.push(notification.id);
            }
        }
        if killed_at < COUNT {
            stack.fault(Part::Director(0), Fault::Killed).await;
            stack.heal(Part::Director(0)).await;
        }
    }
    assert_eq!(shown, ids, "each once, in order");
    eventually("every one is requeued", async || {
        producer(&stack, &["list", "--state", "requeued", "--limit", "500"]).len() == COUNT
    })
    .await;
    // What was appended twice is on its way before this one, and is not shown.
    let last = stack.send("dave", &json!("last")).await;
    loop {
        let incoming =
            tokio::time::timeout(PATIENCE, dave.next()).await.expect("the last one comes").unwrap();
        if let Incoming::Notification(notification) = incoming {
            assert_eq!(notification.id, last, "shown twice");
            return;
        }
    }
}
