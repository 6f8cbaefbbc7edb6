//! A guest that asks somebody outside, by `wasi:http`.

use crate::guests::{component_with, wasi_version};

/// What a guest tells instead of a status: there was no response (and the position of the error in `error-code`), or its
/// body did not come to its end.
pub(crate) const NO_RESPONSE: u64 = 30_000_000_000;
pub(crate) const NO_BODY: u64 = 40_000_000_000;

/// Sends `GET /` in the clear to the authority that its content is, and reads the response to its end. Tells the status
/// times a million and the bytes read, as the milliseconds before another attempt.
pub(crate) fn gets() -> Vec<u8> {
    component_with(
        &imports(),
        &GETS.replace("NO_RESPONSE", &NO_RESPONSE.to_string()).replace("NO_BODY", &NO_BODY.to_string()),
    )
}

const GETS: &str = "(local $number i64) (local $request i32) (local $future i32) (local $pollable i32) (local $response i32)
             (local $body i32) (local $stream i32)
             (local.set $request (call $request (call $fields)))
             (drop (call $scheme (local.get $request) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)))
             (drop (call $authority (local.get $request) (i32.const 1)
                 (i32.load offset=48 (local.get $input)) (i32.load offset=52 (local.get $input))))
             (i32.store8 (i32.const 600) (i32.const 47))
             (drop (call $path (local.get $request) (i32.const 1) (i32.const 600) (i32.const 1)))
             (call $handle (local.get $request) (i32.const 0) (i32.const 0) (i32.const 2048))
             (if (i32.load8_u (i32.const 2048)) (then (unreachable)))
             (local.set $future (i32.load (i32.const 2056)))
             (local.set $pollable (call $subscribe (local.get $future)))
             (call $block (local.get $pollable))
             (call $get (local.get $future) (i32.const 3072))
             (block $told
                 (if (i32.load8_u (i32.const 3088))
                     (then
                         (local.set $number (i64.add (i64.const NO_RESPONSE) (i64.load8_u (i32.const 3096))))
                         (br $told)))
                 (local.set $response (i32.load (i32.const 3096)))
                 (local.set $number
                     (i64.mul (i64.extend_i32_u (call $status (local.get $response))) (i64.const 1000000)))
                 (call $consume (local.get $response) (i32.const 2048))
                 (local.set $body (i32.load (i32.const 2052)))
                 (call $stream (local.get $body) (i32.const 2048))
                 (local.set $stream (i32.load (i32.const 2052)))
                 (block $end
                     (loop $more
                         (call $read (local.get $stream) (i64.const 1000) (i32.const 2048))
                         (br_if $end (i32.load8_u (i32.const 2048)))
                         (local.set $number
                             (i64.add (local.get $number) (i64.extend_i32_u (i32.load (i32.const 2056)))))
                         (br $more)))
                 ;; Not closed, but failed.
                 (if (i32.eqz (i32.load8_u (i32.const 2052)))
                     (then (local.set $number (i64.const NO_BODY)))))
             (i32.store8 (i32.const 1024) (i32.const 1))
             (i32.store8 (i32.const 1048) (i32.const 1))
             (i64.store (i32.const 1056) (local.get $number))
             (i32.const 1024)";

fn imports() -> String {
    let version = wasi_version();
    let from = |interface: &str, name: &str, signature: &str, local: &str| {
        format!(r#"(import "{interface}@{version}" "{name}" (func ${local} {signature}))"#)
    };
    let imports = [
        from("wasi:http/types", "[constructor]fields", "(result i32)", "fields"),
        from("wasi:http/types", "[constructor]outgoing-request", "(param i32) (result i32)", "request"),
        from(
            "wasi:http/types",
            "[method]outgoing-request.set-scheme",
            "(param i32 i32 i32 i32 i32) (result i32)",
            "scheme",
        ),
        from(
            "wasi:http/types",
            "[method]outgoing-request.set-authority",
            "(param i32 i32 i32 i32) (result i32)",
            "authority",
        ),
        from(
            "wasi:http/types",
            "[method]outgoing-request.set-path-with-query",
            "(param i32 i32 i32 i32) (result i32)",
            "path",
        ),
        from("wasi:http/outgoing-handler", "handle", "(param i32 i32 i32 i32)", "handle"),
        from(
            "wasi:http/types",
            "[method]future-incoming-response.subscribe",
            "(param i32) (result i32)",
            "subscribe",
        ),
        from("wasi:io/poll", "[method]pollable.block", "(param i32)", "block"),
        from("wasi:http/types", "[method]future-incoming-response.get", "(param i32 i32)", "get"),
        from("wasi:http/types", "[method]incoming-response.status", "(param i32) (result i32)", "status"),
        from("wasi:http/types", "[method]incoming-response.consume", "(param i32 i32)", "consume"),
        from("wasi:http/types", "[method]incoming-body.stream", "(param i32 i32)", "stream"),
        from("wasi:io/streams", "[method]input-stream.blocking-read", "(param i32 i64 i32)", "read"),
    ];
    imports.join("\n")
}
