//! `GET /openapi.json`.

use super::client::Call;
use super::fakes::Stage;

#[test]
fn the_committed_document_is_the_generated_one() {
    let committed = include_str!("../../../docs/openapi.json");
    let advice = "regenerate it: cargo run -p postrider-receiver --example openapi > docs/openapi.json";
    assert!(committed == postrider_receiver::http::document(), "docs/openapi.json is not current; {advice}");
}

#[tokio::test]
async fn the_document_is_served_and_has_every_operation() {
    let stage = Stage::start().await;
    let answer = Call::new("GET", "/openapi.json").send_bare(stage.address).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let document = answer.json();
    for path in ["/v1/notifications", "/v1/notifications/batch", "/v1/to/{recipient}"] {
        assert!(document["paths"][path]["post"]["responses"].is_object(), "{path}");
    }
    assert!(document["info"]["description"].as_str().unwrap().contains("`log-unavailable` | 503"));
}
