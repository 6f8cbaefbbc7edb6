//! `POST /v1/to/{recipient}`.

use std::time::Duration;

use shared::notification::Urgency;

use super::client::Call;
use super::fakes::{START, Stage};

#[tokio::test]
async fn what_curl_sends_is_a_text() {
    let stage = Stage::start().await;
    let call = Call::new("POST", "/v1/to/alice")
        .header("content-type", "application/x-www-form-urlencoded")
        .body("hi");
    assert_eq!(call.send(&stage).await.status, 202);
    let kept = &stage.log.notifications()[0];
    assert_eq!(
        (kept.kind.as_str(), kept.content_type.as_str()),
        ("notification", "text/plain; charset=utf-8")
    );
    assert_eq!((kept.recipient.key().as_str(), &kept.content[..]), ("acme/alice", &b"hi"[..]));
}

#[tokio::test]
async fn options_are_headers_or_query_and_may_agree() {
    let stage = Stage::start().await;
    let call = Call::new("POST", "/v1/to/alice%40example.org?ttl=60&urgency=low&type=a.b")
        .header("ttl", "60")
        .header("urgency", "low")
        .header("postrider-metadata", "{\"k\":1}")
        .header("content-type", "image/png")
        .body([0_u8, 255]);
    assert_eq!(call.send(&stage).await.status, 202);
    let kept = &stage.log.notifications()[0];
    assert_eq!(kept.recipient.id.as_str(), "alice@example.org");
    assert_eq!((kept.kind.as_str(), kept.urgency), ("a.b", Urgency::Low));
    assert_eq!(kept.expires, START.after(Duration::from_secs(60)));
    assert_eq!((kept.metadata.as_deref(), &kept.content[..]), (Some("{\"k\":1}"), &[0_u8, 255][..]));
}

#[tokio::test]
async fn a_body_of_no_stated_type_is_opaque() {
    let stage = Stage::start().await;
    assert_eq!(Call::new("POST", "/v1/to/alice").body([0xff_u8]).send(&stage).await.status, 202);
    assert_eq!(stage.log.notifications()[0].content_type.as_str(), "application/octet-stream");
}
