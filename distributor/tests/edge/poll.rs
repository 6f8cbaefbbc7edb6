//! Long-poll: the cursor's way, lost answers, lingering, and two polls at a time.

use std::time::Duration;

use serde_json::{Value, json};

use crate::node::{Node, problem, soon, token};

async fn poll(node: &Node, query: &str) -> Value {
    let answer = node.get(&format!("/v1/poll?{query}")).bearer_auth(token("alice")).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{query}");
    answer.json().await.unwrap()
}

fn contents(answer: &Value) -> Vec<&str> {
    let notifications = answer["notifications"].as_array().unwrap();
    notifications.iter().map(|notification| notification["content"].as_str().unwrap()).collect()
}

fn text<'a>(answer: &'a Value, name: &str) -> &'a str {
    answer[name].as_str().unwrap()
}

#[tokio::test]
async fn asking_with_the_returned_cursor_acknowledges_and_goes_on_in_the_same_session() {
    let node = Node::start().await;
    for content in ["one", "two", "three"] {
        node.stored.put("alice", content);
    }
    let first = poll(&node, "max=2&wait=20000").await;
    assert_eq!(contents(&first), ["one", "two"]);
    let second = poll(&node, &format!("cursor={}&wait=20000", text(&first, "cursor"))).await;
    assert_eq!(contents(&second), ["three"]);
    assert_eq!(second["session"], first["session"]);
    assert_eq!(second["notifications"][0]["seq"], 3);
    let third = poll(&node, &format!("cursor={}&wait=1", text(&second, "cursor"))).await;
    assert_eq!((contents(&third), &third["cursor"]), (Vec::new(), &second["cursor"]));
    soon("the deletion", async {
        while node.stored.count("alice") > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_lost_answer_is_given_again_and_nothing_of_it_is_acknowledged() {
    let node = Node::start().await;
    for content in ["one", "two", "three"] {
        node.stored.put("alice", content);
    }
    let first = poll(&node, "max=1&wait=20000").await;
    let cursor = text(&first, "cursor");
    let lost = poll(&node, &format!("cursor={cursor}&max=1&wait=20000")).await;
    let again = poll(&node, &format!("cursor={cursor}&max=1&wait=20000")).await;
    assert_eq!(contents(&lost), ["two"]);
    assert_eq!(lost, again);
    let named = poll(&node, &format!("cursor={cursor}&session={}&max=1", text(&first, "session"))).await;
    assert_eq!(named, again);
    soon("the deletion of the first", async {
        while node.stored.count("alice") > 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(node.stored.count("alice"), 2);
    let next = poll(&node, &format!("cursor={}&wait=20000", text(&again, "cursor"))).await;
    assert_eq!(contents(&next), ["three"]);
}

#[tokio::test]
async fn a_session_that_nobody_polls_ends_and_its_cursor_goes_on_elsewhere() {
    let node = Node::with(|config| config.edge.poll_linger_ms = Duration::from_millis(10)).await;
    node.stored.put("alice", "one");
    let first = poll(&node, "wait=20000").await;
    let ended = async {
        loop {
            let body = json!({"cursor": first["cursor"], "session": first["session"]});
            let answer = node.post("/v1/ack").bearer_auth(token("alice")).json(&body).send().await.unwrap();
            if answer.json::<Value>().await.unwrap()["sessions"] == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    soon("the session to end", ended).await;
    node.stored.put("alice", "two");
    let second = poll(&node, &format!("cursor={}&wait=20000", text(&first, "cursor"))).await;
    assert_ne!(second["session"], first["session"]);
    assert_eq!(contents(&second), ["two"]);
}

#[tokio::test]
async fn a_newer_poll_of_a_session_answers_the_older_one_at_once() {
    let node = Node::start().await;
    let first = poll(&node, "wait=1").await;
    // Longer than this client waits for an answer.
    let query = format!("session={}&wait=60000&cursor={}", text(&first, "session"), text(&first, "cursor"));
    let older = poll(&node, &query);
    let newer = async {
        // A poll that only gives the cursor goes on with an idle session; it gets another one once this is in use.
        let idle = async {
            let cursor = format!("wait=1&cursor={}", text(&first, "cursor"));
            while poll(&node, &cursor).await["session"] == first["session"] {}
        };
        soon("the older poll to wait", idle).await;
        poll(&node, &query.replace("60000", "1")).await
    };
    let (older, newer) = tokio::join!(older, newer);
    assert_eq!((contents(&older), contents(&newer)), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn a_client_that_never_gives_a_cursor_back_does_not_lock_itself_out() {
    let node = Node::with(|config| config.caps.per_recipient = 2).await;
    node.stored.put("alice", "one");
    for _poll in 0..5 {
        assert_eq!(contents(&poll(&node, "wait=20000").await), ["one"]);
    }
}

#[tokio::test]
async fn every_bad_query_is_refused() {
    let node = Node::start().await;
    let foreign =
        shared::position::Cursor::start(shared::position::Epoch(99), shared::position::PartitionId(77));
    let rows = [
        ("cursor=nonsense".to_owned(), "cursor-invalid"),
        ("wait=soon".to_owned(), "query-invalid"),
        ("wait=-1".to_owned(), "query-invalid"),
        ("max=0".to_owned(), "query-invalid"),
        ("max=all".to_owned(), "query-invalid"),
        ("window=0".to_owned(), "query-invalid"),
        ("session=me".to_owned(), "query-invalid"),
        ("max=1&max=2".to_owned(), "query-invalid"),
    ];
    for (query, code) in rows {
        let answer = node.get(&format!("/v1/poll?{query}")).bearer_auth(token("alice")).send().await.unwrap();
        assert_eq!(problem(answer).await, (400, code.to_owned()), "{query}");
    }
    // A cursor of other topics is not believed: everything stored comes.
    node.stored.put("alice", "one");
    assert_eq!(contents(&poll(&node, &format!("cursor={foreign}&wait=20000")).await), ["one"]);
}
