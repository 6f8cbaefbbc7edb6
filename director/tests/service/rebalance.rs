//! Partitions that move between live directors under load. In every partition there is a recipient who acknowledges at
//! once and one who is slow: what the slow one has not acknowledged must hold back the commit of everything behind it.

use shared::delivery::SessionId;
use tokio_util::sync::CancellationToken;

use super::node::{Mood, Node};
use super::stage::{Stage, eventually};

/// Records of each slow recipient.
const HELD: usize = 10;

/// A recipient, its session, and where its records stand.
struct Client {
    recipient: String,
    session: SessionId,
    offsets: Vec<u64>,
}

async fn clients(stage: &Stage, node: &Node, name: &str, mood: Mood) -> Vec<Client> {
    let mut clients = Vec::new();
    for recipient in stage.one_of_each(name) {
        let session = node.session(&stage.registry, &recipient, mood).await;
        clients.push(Client { recipient, session, offsets: Vec::new() });
    }
    clients
}

fn arrived(node: &Node, client: &Client) -> Vec<u64> {
    node.records(client.session).into_iter().map(|record| record.offset).collect()
}

/// What a session makes of it, which drops what it has seen.
fn seen(arrived: Vec<u64>) -> Vec<u64> {
    let mut last = None;
    let mut is_new = |offset: &u64| {
        let new = last < Some(*offset);
        last = last.max(Some(*offset));
        new
    };
    arrived.into_iter().filter(|offset| is_new(offset)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_move_between_live_directors_lose_nothing_and_keep_their_order() {
    let stage = Stage::open().await;
    let node = Node::start(&stage.registry).await;
    let mut slow = clients(&stage, &node, "slow", Mood::Silent).await;
    let mut prompt = clients(&stage, &node, "prompt", Mood::Acknowledge).await;
    let first = stage.direct();
    for client in &mut slow {
        client.offsets = stage.publish(&client.recipient, 0..HELD as u64).await;
    }
    let held = async |partitions: usize| {
        let count = || slow.iter().map(|client| node.records(client.session).len()).sum::<usize>();
        eventually("the slow ones sent what they have not acknowledged", async || {
            count() >= partitions * HELD
        })
        .await;
    };
    let moved = CancellationToken::new();
    let publishing = async {
        for number in 0.. {
            for client in &mut prompt {
                client.offsets.extend(stage.publish(&client.recipient, number..number + 2).await);
            }
            if moved.is_cancelled() {
                return;
            }
        }
    };
    let moving = async {
        held(3).await;
        let second = stage.direct();
        held(3 + 1).await;
        first.stop().await;
        held(3 + 1 + 2).await;
        let third = stage.direct();
        held(3 + 1 + 2 + 1).await;
        moved.cancel();
        [second, third]
    };
    let ((), directors) = tokio::join!(publishing, moving);
    slow.iter().for_each(|client| node.release(client.session));
    eventually("the prompt ones have everything", async || {
        prompt.iter().all(|client| seen(arrived(&node, client)).len() >= client.offsets.len())
    })
    .await;
    for director in directors {
        director.stop().await;
    }
    for client in &prompt {
        assert_eq!(seen(arrived(&node, client)), client.offsets);
        assert_eq!(stage.committed(&client.recipient).await, client.offsets.last().unwrap() + 1);
    }
    for client in &slow {
        assert!(
            arrived(&node, client).chunks(HELD).all(|again| again == client.offsets),
            "from its first on"
        );
    }
    for client in slow.iter().chain(&prompt) {
        assert!(stage.stored(&client.recipient).await.is_empty());
    }
}
