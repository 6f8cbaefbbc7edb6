//! Good frames, bad frames, and what the answer to each names.

use proptest::prelude::*;
use shared::position::{Epoch, PartitionId};

use super::*;

#[test]
fn every_bad_frame_is_told_its_code_and_place() {
    let long = format!(r#"{{"frame":"ping","ref":"{}"}}"#, "r".repeat(65));
    let rows: [(&str, &str, Option<&str>); 26] = [
        ("", "json-invalid", None),
        ("hello", "json-invalid", None),
        (r#"{"frame":"ack","seq":1"#, "json-invalid", None),
        (r#"{"frame":"ack","seq":01}"#, "json-invalid", None),
        (r#"{"frame":"ping"}{"frame":"ping"}"#, "json-invalid", None),
        ("[]", "frame-not-object", None),
        ("\"hello\"", "frame-not-object", None),
        ("null", "frame-not-object", None),
        ("{}", "frame-missing", Some("/frame")),
        (r#"{"type":"hello"}"#, "frame-missing", Some("/frame")),
        (r#"{"frame":7}"#, "field-invalid", Some("/frame")),
        (r#"{"frame":"publish"}"#, "frame-unknown", Some("/frame")),
        (r#"{"frame":"HELLO"}"#, "frame-unknown", Some("/frame")),
        (r#"{"frame":"ack"}"#, "field-missing", Some("/seq")),
        (r#"{"frame":"ack","seq":0}"#, "field-invalid", Some("/seq")),
        (r#"{"frame":"ack","seq":-1}"#, "field-invalid", Some("/seq")),
        (r#"{"frame":"ack","seq":1.5}"#, "field-invalid", Some("/seq")),
        (r#"{"frame":"ack","seq":"1"}"#, "field-invalid", Some("/seq")),
        (r#"{"frame":"ack","seq":9007199254740992}"#, "field-invalid", Some("/seq")),
        (r#"{"frame":"ack","seq":1,"a/b":2}"#, "field-unknown", Some("/a~1b")),
        (r#"{"frame":"nack","seq":1}"#, "field-missing", Some("/code")),
        (r#"{"frame":"nack","seq":1,"code":"no"}"#, "field-invalid", Some("/code")),
        (r#"{"frame":"hello","cursor":"x"}"#, "cursor-invalid", Some("/cursor")),
        (r#"{"frame":"hello","window":0}"#, "field-invalid", Some("/window")),
        (r#"{"frame":"hello","token":1}"#, "field-invalid", Some("/token")),
        (&long, "field-invalid", Some("/ref")),
    ];
    for (text, code, pointer) in rows {
        let mistake = ClientFrame::decode(text).expect_err(text);
        assert_eq!((mistake.code.as_str(), mistake.pointer.as_deref()), (code, pointer), "{text}");
        assert!(!mistake.detail.is_empty(), "{text}");
    }
}

#[test]
fn every_good_frame_is_read() {
    let cursor = Cursor { epoch: Epoch(1), partition: PartitionId(2), next: 3 };
    let hello = format!(r#"{{"frame":"hello","token":"t","cursor":"{cursor}","window":8,"ref":"a"}}"#);
    let reference = || Some("a".to_owned());
    let expected =
        Hello { token: Some("t".to_owned()), cursor: Some(cursor), window: Some(8), reference: reference() };
    assert_eq!(ClientFrame::decode(&hello), Ok(ClientFrame::Hello(expected)));
    let rows = [
        (r#"{"frame":"hello"}"#, ClientFrame::Hello(Hello::default())),
        (r#"{"frame":"hello","cursor":null}"#, ClientFrame::Hello(Hello::default())),
        (r#" {"seq":7,"frame":"ack"} "#, ClientFrame::Ack { seq: 7, reference: None }),
        (
            r#"{"frame":"nack","seq":2,"code":"undecodable","ref":"a"}"#,
            ClientFrame::Nack(Nack {
                seq: 2,
                rejection: Some(Rejection::Undecodable),
                reference: reference(),
            }),
        ),
        (
            r#"{"frame":"nack","seq":2,"code":"retry"}"#,
            ClientFrame::Nack(Nack { seq: 2, rejection: None, reference: None }),
        ),
        (r#"{"frame":"subscribe","topic":"x","ref":"a"}"#, ClientFrame::Subscribe { reference: reference() }),
        (r#"{"frame":"ping","ref":"a"}"#, ClientFrame::Ping { reference: reference() }),
    ];
    for (text, frame) in rows {
        assert_eq!(ClientFrame::decode(text), Ok(frame), "{text}");
    }
}

#[test]
fn a_mistake_answers_with_the_reference_of_its_frame() {
    let mistake = ClientFrame::decode(r#"{"frame":"ack","ref":"r7"}"#).expect_err("no seq");
    assert_eq!(mistake.reference.as_deref(), Some("r7"));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in ".{0,200}") {
        drop(ClientFrame::decode(&text));
    }

    #[test]
    fn every_sequence_number_within_limits_is_read(seq in 1..=MAX_SEQ) {
        let text = format!(r#"{{"frame":"ack","seq":{seq}}}"#);
        prop_assert_eq!(ClientFrame::decode(&text), Ok(ClientFrame::Ack { seq, reference: None }));
    }
}
