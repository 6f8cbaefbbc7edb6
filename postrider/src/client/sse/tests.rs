//! A stream whose server takes acknowledgements badly.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use shared::position::{Cursor, Epoch, PartitionId};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

use crate::client::{Incoming, Listener, Options, Transport};

/// One `POST /v1/ack`, and how to answer it.
type Asked = (Value, oneshot::Sender<Response>);

#[derive(Clone)]
struct Server {
    /// What is sent on the one stream there is.
    frames: Arc<Mutex<Option<mpsc::Receiver<Bytes>>>>,
    asked: mpsc::Sender<Asked>,
}

async fn stream(State(server): State<Server>) -> Response {
    let Some(frames) = server.frames.lock().await.take() else { return StatusCode::CONFLICT.into_response() };
    let chunks = futures_util::StreamExt::map(ReceiverStream::new(frames), Ok::<_, std::io::Error>);
    Body::from_stream(chunks).into_response()
}

async fn ack(State(server): State<Server>, Json(body): Json<Value>) -> Response {
    let (answer, answered) = oneshot::channel();
    server.asked.send((body, answer)).await.unwrap();
    answered.await.unwrap()
}

fn cursor(next: u64) -> String {
    Cursor { epoch: Epoch(1), partition: PartitionId(0), next }.encode()
}

fn frame(seq: u64) -> Bytes {
    let frame = json!({"frame": "notification", "seq": seq, "cursor": cursor(seq), "id": seq.to_string(), "type": "t",
        "time": "2026-11-21T07:00:00.000Z", "content_type": "application/json", "content": seq});
    Bytes::from(format!("data: {frame}\n\n"))
}

/// The next notification; acknowledged.
async fn take(listener: &mut Listener) -> String {
    loop {
        match listener.next().await.unwrap() {
            Incoming::Notification(came) => {
                listener.acknowledge(&came.cursor);
                return came.id;
            }
            Incoming::Opened { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_acknowledgement_that_nobody_answers_holds_up_no_frame_and_is_sent_until_it_is_taken() {
    let (frames, sent) = mpsc::channel(8);
    let (asking, mut asked) = mpsc::channel(8);
    let server = Server { frames: Arc::new(Mutex::new(Some(sent))), asked: asking };
    let router = Router::new().route("/v1/sse", get(stream)).route("/v1/ack", post(ack)).with_state(server);
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    let serving = tokio::spawn(axum::serve(socket, router).into_future());

    let welcome =
        json!({"frame": "welcome", "session": "s", "cursor": cursor(0), "stored": false, "ping_ms": 25000});
    frames.send(Bytes::from(format!("data: {welcome}\n\n"))).await.unwrap();
    frames.send(frame(1)).await.unwrap();
    let mut listener = Listener::new(Options::new(url, "token").over(Transport::Sse)).unwrap();
    assert_eq!(take(&mut listener).await, "1");
    // The first acknowledgement is on its way and stays there; what comes meanwhile comes.
    let unanswered = tokio::select! {
        first = asked.recv() => first.unwrap(),
        came = listener.next() => panic!("{came:?}"),
    };
    assert_eq!(unanswered.0, json!({"cursor": cursor(1), "session": "s"}));
    for seq in 2..=3 {
        frames.send(frame(seq)).await.unwrap();
        assert_eq!(take(&mut listener).await, seq.to_string());
    }
    // It fails, and later ones find no session, until one that says all that is processed has found none once.
    unanswered.1.send(StatusCode::SERVICE_UNAVAILABLE.into_response()).unwrap();
    let mut sessions = 0;
    while sessions == 0 {
        let mut said_all = false;
        for _again in 0..2 {
            let (body, answer) = tokio::select! {
                again = asked.recv() => again.unwrap(),
                came = listener.next() => panic!("{came:?}"),
            };
            sessions = u64::from(said_all);
            said_all = body["cursor"] == cursor(3);
            answer.send(Json(json!({ "sessions": sessions })).into_response()).unwrap();
            if sessions > 0 {
                assert!(said_all, "less than before is said: {body}");
                break;
            }
        }
    }
    listener.flush().await;
    assert!(asked.try_recv().is_err(), "what was taken is not sent again");
    serving.abort();
}
