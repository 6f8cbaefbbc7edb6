//! What a component says is what the report says.

use std::time::Duration;

use bytes::Bytes;
use postrider_executor::sandbox::{Answer, Grants};

use crate::guests::{component_with, echo, quiet};
use crate::world::{World, input, settings};

#[tokio::test]
async fn outputs_of_a_success_come_as_they_were_stated() {
    let world = World::new(settings());
    let report = world.run_with(&echo(), &Grants::default(), &input(r#"{"n":1}"#)).await;
    let Ok(Answer::Done(outputs)) = report.answer else { panic!("{report:?}") };
    let [output] = outputs.as_slice() else { panic!("{outputs:?}") };
    assert_eq!(output.content, Bytes::from_static(br#"{"n":1}"#));
    assert_eq!((output.kind.as_str(), output.content_type.as_str()), ("order.shipped", "application/json"));
    assert_eq!((&output.recipient, &output.metadata, output.urgency, output.ttl), (&None, &None, None, None));
    assert!(report.usage.fuel > 0 && report.usage.memory_bytes >= 64 * 1024, "{:?}", report.usage);
}

#[tokio::test]
async fn nothing_of_one_attempt_is_left_for_the_next() {
    // Answers with a trap when it finds what it left the first time.
    let module = component_with(
        "(global $again (mut i32) (i32.const 0))",
        "(if (i32.or (global.get $again) (i32.load (i32.const 2048))) (then (unreachable)))
         (global.set $again (i32.const 1))
         (i32.store (i32.const 2048) (i32.const 1))
         (i32.const 1024)",
    );
    let world = World::new(settings());
    for _attempt in 0..20 {
        assert_eq!(world.run(&module).await.answer, Ok(Answer::Done(vec![])));
    }
}

#[tokio::test]
async fn a_task_asks_for_another_attempt_or_gives_up() {
    let retry = component_with(
        r#"(data (i32.const 512) "later")"#,
        "(i32.store8 (i32.const 1024) (i32.const 1))
         (i32.store (i32.const 1040) (i32.const 512))
         (i32.store (i32.const 1044) (i32.const 5))
         (i32.store8 (i32.const 1048) (i32.const 1))
         (i64.store (i32.const 1056) (i64.const 1500))
         (i32.const 1024)",
    );
    let reject = component_with(
        r#"(data (i32.const 512) "never")"#,
        "(i32.store8 (i32.const 1024) (i32.const 1))
         (i32.store8 (i32.const 1032) (i32.const 1))
         (i32.store (i32.const 1040) (i32.const 512))
         (i32.store (i32.const 1044) (i32.const 5))
         (i32.const 1024)",
    );
    let world = World::new(settings());
    let after = Some(Duration::from_millis(1500));
    assert_eq!(world.run(&retry).await.answer, Ok(Answer::Retry { reason: "later".into(), after }));
    assert_eq!(world.run(&reject).await.answer, Ok(Answer::Rejected { reason: "never".into() }));
}

#[tokio::test]
async fn a_success_without_outputs_is_one() {
    assert_eq!(World::new(settings()).run(&quiet()).await.answer, Ok(Answer::Done(vec![])));
}
