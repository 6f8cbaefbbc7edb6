//! `GET /`.

use super::client::Call;
use super::fakes::Stage;

#[tokio::test]
async fn a_visitor_is_told_what_this_is_and_how_to_send() {
    let stage = Stage::start().await;
    let answer = Call::new("GET", "/").send_bare(stage.address).await;
    let text = String::from_utf8(answer.body.clone()).unwrap();
    assert_eq!(answer.status, 200);
    assert!(text.contains("Postrider") && text.contains("curl") && text.contains(&stage.address.to_string()));
}
