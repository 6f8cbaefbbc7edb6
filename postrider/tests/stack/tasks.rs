//! Tasks and modules of a stack, over the producers' API.

use std::time::Duration;

use serde_json::{Value, json};

use super::{PATIENCE, Stack, http};

impl Stack {
    /// Puts a module there, `settings` in front of it.
    pub async fn put_module(&self, module: &str, settings: &Value, bytes: &[u8]) -> Value {
        let body = [settings.to_string().as_bytes(), bytes].concat();
        let url = format!("{}/v1/modules/{module}", self.producer().receiver());
        let request = http().put(url).bearer_auth(self.producer().api_key).body(body);
        let answer = request.header("content-type", "application/wasm").send().await.unwrap();
        let status = answer.status();
        let shown: Value = answer.json().await.unwrap();
        assert!(status == 201 || status == 200, "{status} {shown}");
        shown
    }

    /// Asks for a task; the id, once it is accepted.
    pub async fn run_task(&self, module: &str, recipient: &str, content: &Value, more: Value) -> String {
        let mut body = json!({"module": module, "to": {"recipient": recipient}, "content": content});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = self.producer().post("/v1/tasks").json(&body).send().await.unwrap();
        let (status, shown) = (answer.status(), answer.json::<Value>().await.unwrap());
        assert_eq!(status, 202, "{shown}");
        shown["id"].as_str().unwrap().to_owned()
    }

    /// GETs something of the producers' API.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        let url = format!("{}{path}", self.producer().receiver());
        let answer = http().get(url).bearer_auth(self.producer().api_key).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// The task, once it is at an end.
    pub async fn ended_task(&self, id: &str) -> Value {
        let waiting = async {
            loop {
                let (status, task) = self.get(&format!("/v1/tasks/{id}")).await;
                let state = task["state"].as_str().unwrap_or_default();
                if status == 200 && ["completed", "failed", "cancelled"].contains(&state) {
                    return task;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_late| panic!("{id} does not end"))
    }

    /// The states that a task went through, in order.
    pub async fn history(&self, id: &str) -> Vec<String> {
        let (status, shown) = self.get(&format!("/v1/tasks/{id}/events")).await;
        assert_eq!(status, 200, "{shown}");
        let events = shown["events"].as_array().unwrap();
        events.iter().map(|event| event["state"].as_str().unwrap().to_owned()).collect()
    }
}

/// A command that computes for `turns` of a loop and then answers `said`.
pub fn command_after(turns: u64, said: &str) -> Vec<u8> {
    command(
        said,
        &format!(
            "(local $left i64) (local.set $left (i64.const {turns}))
             (loop $again
                (local.set $left (i64.sub (local.get $left) (i64.const 1)))
                (br_if $again (i64.gt_s (local.get $left) (i64.const 0))))
             (call $say)"
        ),
    )
}

/// A command of WASI preview 1 with this body, with `$say` at hand, which writes `said` to standard output.
pub fn command(said: &str, body: &str) -> Vec<u8> {
    let (length, said) = (said.len(), said.bytes().map(|byte| format!("\\{byte:02x}")).collect::<String>());
    let text = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 64) "{said}")
            (func $say
                (i32.store (i32.const 16) (i32.const 64))
                (i32.store (i32.const 20) (i32.const {length}))
                (drop (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24))))
            (func $deeper (param i32) (result i32)
                (i32.add (call $deeper (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))
            (func (export "_start") {body}))"#
    );
    wat::parse_str(&text).unwrap()
}
