//! Peers that are slow, or send too much, are let go within the limits.

use std::time::Duration;

use postrider_receiver::Config;
use shared::serve::HttpLimits;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::client::{Answer, Call, PATIENCE, finish};
use super::fakes::Stage;

const SHORT: Duration = Duration::from_millis(150);

async fn impatient() -> Stage {
    let http = HttpLimits { first_byte_ms: SHORT, head_ms: SHORT, body_ms: SHORT, ..HttpLimits::default() };
    Stage::with(Config { http, ..Config::default() }).await
}

/// Sends `piece` again and again until the peer closes, and answers whether it did in time.
async fn trickle(stream: &mut TcpStream, piece: &[u8]) -> bool {
    let sending = async {
        while stream.write_all(piece).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, sending).await.is_ok()
}

fn announced(stage: &Stage, length: usize) -> Call {
    Call::new("POST", "/v1/to/alice")
        .header("authorization", &format!("Bearer {}", stage.key))
        .header("content-length", &length.to_string())
}

#[tokio::test]
async fn a_connection_without_a_first_byte_is_closed() {
    let stage = impatient().await;
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    let mut byte = [0_u8; 1];
    let read = tokio::time::timeout(PATIENCE, tokio::io::AsyncReadExt::read(&mut stream, &mut byte)).await;
    assert_eq!(read.expect("still open").unwrap(), 0);
}

#[tokio::test]
async fn a_head_that_trickles_is_cut_off() {
    let stage = impatient().await;
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    stream.write_all(b"POST /v1/to/alice HTTP/1.1\r\n").await.unwrap();
    assert!(trickle(&mut stream, b"x-slow: 1\r\n").await, "still open");
}

#[tokio::test]
async fn a_body_that_trickles_is_answered_408_and_cut_off() {
    let stage = impatient().await;
    let mut stream = announced(&stage, 100_000).open(stage.address).await;
    stream.write_all(b"some of it").await.unwrap();
    let answer = finish(stream).await;
    assert_eq!((answer.status, answer.code().as_str()), (408, "body-timeout"));
    let mut stream = announced(&stage, 1_000_000).open(stage.address).await;
    assert!(trickle(&mut stream, b"x").await, "still open");
    assert!(stage.log.notifications().is_empty());
}

#[tokio::test]
async fn a_body_that_announces_too_much_is_refused_before_it_is_sent() {
    let stage = Stage::start().await;
    let stream = announced(&stage, 1024 * 1024 + 1).open(stage.address).await;
    let answer = finish(stream).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "body-too-large"));
}

#[tokio::test]
async fn a_body_that_announces_nothing_is_cut_off_at_the_limit() {
    let stage = Stage::with(Config { body_bytes: 2000, ..Config::default() }).await;
    let call = Call::new("POST", "/v1/to/alice")
        .header("authorization", &format!("Bearer {}", stage.key))
        .header("transfer-encoding", "chunked");
    let mut stream = call.open(stage.address).await;
    stream.write_all(format!("7d1\r\n{}\r\n", "x".repeat(2001)).as_bytes()).await.unwrap();
    let answer = finish(stream).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "body-too-large"));
    assert!(stage.log.notifications().is_empty());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_accepted() {
    let stage = Stage::start().await;
    let mut stream = announced(&stage, 100).open(stage.address).await;
    stream.write_all(b"half").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    let read = tokio::time::timeout(PATIENCE, tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest));
    read.await.expect("still open").unwrap();
    assert!(!String::from_utf8_lossy(&rest).contains(" 202 "));
    assert!(stage.log.notifications().is_empty());
}

#[tokio::test]
async fn a_content_of_the_limit_is_taken_and_one_more_byte_is_not() {
    let stage = Stage::with(Config { content_bytes: 100, ..Config::default() }).await;
    let send = async |length: usize| -> Answer {
        Call::new("POST", "/v1/to/alice").body(vec![b'x'; length]).send(&stage).await
    };
    assert_eq!(send(100).await.status, 202);
    let answer = send(101).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "content-too-large"));
}

#[tokio::test]
async fn a_request_that_would_become_too_much_is_refused() {
    let stage = Stage::with(Config { fan_out_bytes: 1200, ..Config::default() }).await;
    let body = r#"{"to":{"recipients":["a","b","c"]},"type":"t","content":1234}"#;
    assert_eq!(Call::json("/v1/notifications", body).send(&stage).await.code(), "fan-out-too-large");
    assert!(stage.log.notifications().is_empty());
}

#[tokio::test]
async fn records_that_a_request_becomes_count_against_the_memory_under_way() {
    let stage = Stage::with(Config { in_flight_bytes: 20_000, ..Config::default() }).await;
    let send = async |recipients: usize| -> Answer {
        let names: Vec<_> = (0..recipients).map(|name| name.to_string()).collect();
        let body = serde_json::json!({"to": {"recipients": names}, "type": "t", "content": 1});
        Call::json("/v1/notifications", body.to_string()).send(&stage).await
    };
    assert_eq!(send(100).await.code(), "overloaded");
    assert_eq!(send(10).await.status, 202);
}

#[tokio::test]
async fn memory_that_is_used_up_refuses_before_the_body_is_read() {
    let stage = Stage::with(Config { in_flight_bytes: 50_000, ..Config::default() }).await;
    let mut holding = announced(&stage, 50_000).open(stage.address).await;
    holding.write_all(b"begun").await.unwrap();
    let refused = async {
        loop {
            // Nothing of this body is ever sent.
            let answer = finish(announced(&stage, 9).header("connection", "close").open(stage.address).await);
            let Ok(answer) = tokio::time::timeout(Duration::from_millis(200), answer).await else { continue };
            if answer.status == 503 {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(PATIENCE, refused).await.expect("never refused");
    assert_eq!(answer.code(), "overloaded");
    assert!(stage.log.notifications().is_empty());
}
