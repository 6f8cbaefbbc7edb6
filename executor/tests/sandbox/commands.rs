//! WASI commands: JSON in, JSON out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use postrider_executor::SandboxSettings;
use postrider_executor::sandbox::{Answer, Grants, Level};
use shared::notification::ContentType;

use crate::guests::command;
use crate::world::{World, code, input, settings};

/// A command that says `said` on standard output and exits with 0.
fn says(said: &str) -> Vec<u8> {
    command(said, &format!("(call $write (i32.const 1) (i32.const 64) (i32.const {}))", said.len()))
}

/// A command that answers with one output: what it read.
fn repeats() -> Vec<u8> {
    let before = r#"{"ok":[{"type":"echo","content":"#;
    command(
        &format!("{before}}}]}}"),
        &format!(
            "(call $write (i32.const 1) (i32.const 64) (i32.const {len}))
             (i32.store (i32.const 32) (i32.const 4096))
             (i32.store (i32.const 36) (i32.const 65536))
             (drop (call $fd_read (i32.const 0) (i32.const 32) (i32.const 1) (i32.const 40)))
             (call $write (i32.const 1) (i32.const 4096) (i32.load (i32.const 40)))
             (call $write (i32.const 1) (i32.const {end}) (i32.const 3))",
            len = before.len(),
            end = 64 + before.len(),
        ),
    )
}

#[tokio::test]
async fn a_command_reads_its_input_as_json() {
    let world = World::new(settings());
    let mut given = input(r#"{"n": 1}"#);
    given.notification.metadata = Some(r#"{"origin":"shop"}"#.to_owned());
    let report = world.run_with(&repeats(), &Grants::default(), &given).await;
    let Ok(Answer::Done(outputs)) = report.answer else { panic!("{report:?}") };
    let read: serde_json::Value = serde_json::from_slice(&outputs[0].content).unwrap();
    let expected = serde_json::json!({
        "id": "n-1", "tenant": "acme", "recipient": "alice", "source": "/tests", "type": "order.shipped",
        "content_type": "application/json", "content": {"n": 1}, "metadata": {"origin": "shop"},
        "urgency": "normal", "accepted": 1_700_000_000_000_u64, "expires": 1_700_003_600_000_u64, "attempt": 1,
        "time_limit_ms": 120_000, "idempotency_token": "token-1",
    });
    assert_eq!(read, expected);
}

#[tokio::test]
async fn content_is_written_by_its_type() {
    let world = World::new(settings());
    for (content_type, content, field, written) in [
        ("text/plain", "grüß", "content", "grüß"),
        ("text/plain; charset=latin1", "\u{1}\u{2}", "content", "\u{1}\u{2}"),
        ("application/octet-stream", "abc", "content_base64", "YWJj"),
    ] {
        let mut given = input(content);
        given.notification.content_type = ContentType::parse(content_type).unwrap();
        let report = world.run_with(&repeats(), &Grants::default(), &given).await;
        let Ok(Answer::Done(outputs)) = report.answer else { panic!("{report:?}") };
        let read: serde_json::Value = serde_json::from_slice(&outputs[0].content).unwrap();
        assert_eq!(read[field], written, "{read}");
    }
    let forged = world.run_with(&repeats(), &Grants::default(), &input("not JSON")).await;
    assert_eq!(code(&forged), "invalid_input");
}

#[tokio::test]
async fn each_answer_is_honoured() {
    let world = World::new(settings());
    let after = Some(Duration::from_millis(7));
    for (said, answer) in [
        ("", Answer::Done(vec![])),
        (" \n", Answer::Done(vec![])),
        (r#"{"ok":[]}"#, Answer::Done(vec![])),
        (r#"{"retry":{"reason":"busy","after_ms":7}}"#, Answer::Retry { reason: "busy".into(), after }),
        (r#"{"retry":{"reason":"busy"}}"#, Answer::Retry { reason: "busy".into(), after: None }),
        (r#"{"reject":{"reason":"no"}}"#, Answer::Rejected { reason: "no".into() }),
    ] {
        assert_eq!(world.run(&says(said)).await.answer, Ok(answer), "{said}");
    }
    let text = says(
        r#"{"ok":[{"type":"t","content_type":"text/plain","content":"hi"},{"type":"t","content_base64":"aGk="}]}"#,
    );
    let Ok(Answer::Done(outputs)) = world.run(&text).await.answer else { panic!() };
    assert!(outputs.iter().all(|output| output.content == Bytes::from_static(b"hi")));
    assert_eq!(outputs[1].content_type.as_str(), "application/octet-stream");
}

#[tokio::test]
async fn what_is_no_answer_is_told() {
    let world = World::new(settings());
    for said in [
        "done",
        "{}",
        r#"{"ok":[]} trailing"#,
        r#"{"ok":[{"type":"t"}]}"#,
        r#"{"ok":[{"type":"t","content":1,"content_base64":"aGk="}]}"#,
        r#"{"ok":[{"type":"t","content":1,"content_type":"text/plain"}]}"#,
        r#"{"ok":[{"type":"t","content":"x","content_type":"image/png"}]}"#,
        r#"{"ok":[{"type":"t","content_base64":"?"}]}"#,
        r#"{"ok":[{"type":"t","content":1,"colour":"red"}]}"#,
        r#"{"retry":{}}"#,
    ] {
        assert_eq!(code(&world.run(&says(said)).await), "invalid_output", "{said}");
    }
    let deep = "[".repeat(1000);
    assert_eq!(code(&world.run(&says(&deep)).await), "invalid_output");
}

#[tokio::test]
async fn a_failure_repeats_no_more_of_the_guest_than_a_reason_may_have() {
    let world = World::new(SandboxSettings { reason_bytes: 100, ..settings() });
    let said = format!(r#"{{"ok":[{{"{}":1}}]}}"#, "x".repeat(10_000));
    let failure = world.run(&says(&said)).await.answer.unwrap_err();
    assert_eq!(failure.code(), "invalid_output");
    assert!(failure.to_string().len() < 200, "{failure}");
}

#[tokio::test]
async fn exit_codes_are_answers_and_the_last_words_their_reason() {
    let world = World::new(settings());
    let exits = |said: &str, code: i32| {
        let body = "(call $write (i32.const 2) (i32.const 64) (i32.const LEN)) (call $exit (i32.const CODE))";
        command(said, &body.replace("LEN", &said.len().to_string()).replace("CODE", &code.to_string()))
    };
    let retry = world.run(&exits("first\nthe database is away\n", 75)).await;
    assert_eq!(retry.answer, Ok(Answer::Retry { reason: "the database is away".into(), after: None }));
    assert_eq!(retry.log.iter().map(|line| line.level).collect::<Vec<_>>(), [Level::Warn, Level::Warn]);
    let reject = world.run(&exits("nonsense", 1)).await;
    assert_eq!(reject.answer, Ok(Answer::Rejected { reason: "nonsense".into() }));
    let silent = world.run(&exits("", 3)).await;
    assert_eq!(silent.answer, Ok(Answer::Rejected { reason: "exited with code 3".into() }));
    assert_eq!(world.run(&exits("fine", 0)).await.answer, Ok(Answer::Done(vec![])));
}

#[tokio::test]
async fn standard_output_is_limited() {
    let floods =
        command("", "(loop $again (call $write (i32.const 1) (i32.const 64) (i32.const 1000)) (br $again))");
    let world = World::new(SandboxSettings { output_bytes: 10_000, ..settings() });
    assert_eq!(code(&world.run(&floods).await), "output_too_large");
}

#[tokio::test]
async fn a_command_that_sleeps_meets_its_deadline() {
    // A subscription to the monotonic clock, an hour from now: 48 bytes from 120.
    let sleeps = command(
        "",
        "(i32.store8 (i32.const 128) (i32.const 0))
         (i32.store (i32.const 136) (i32.const 1))
         (i64.store (i32.const 144) (i64.const 3600000000000))
         (drop (call $poll (i32.const 120) (i32.const 512) (i32.const 1) (i32.const 24)))",
    );
    let world = World::new(SandboxSettings { deadline_ms: Duration::from_millis(50), ..settings() });
    assert_eq!(code(&world.run(&sleeps).await), "deadline");
}

#[tokio::test]
async fn a_grant_of_config_is_the_environment() {
    // Writes the environment, which is `KEY=value` and a NUL, as its reason.
    let tells = wat::parse_str(
        r#"(module
            (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 1)
            (func (export "_start")
                (drop (call $environ (i32.const 64) (i32.const 128)))
                (i32.store (i32.const 16) (i32.const 128))
                (i32.store (i32.const 20) (i32.const 11))
                (drop (call $write (i32.const 2) (i32.const 16) (i32.const 1) (i32.const 24)))
                (call $exit (i32.const 1))))"#,
    )
    .unwrap();
    let config = BTreeMap::from([("COLOUR".to_owned(), "blue".to_owned())]);
    let grants = Grants { config: Some(Arc::new(config)), ..Grants::default() };
    let world = World::new(settings());
    let report = world.run_with(&tells, &grants, &input("{}")).await;
    assert_eq!(report.answer, Ok(Answer::Rejected { reason: "COLOUR=blue".into() }));
}
