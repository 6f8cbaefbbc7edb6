//! Guests: WASI commands in WAT. Each has read its input to 4096 when its body begins.

/// A command with `$write` (to standard output: address, length) and `$exit`; the text `said` is at 64.
fn command(said: &str, body: &str) -> Vec<u8> {
    let said: String = said.bytes().map(|byte| format!("\\{byte:02x}")).collect();
    let text = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (memory (export "memory") 2)
            (data (i32.const 64) "{said}")
            (func $write (param $at i32) (param $len i32)
                (i32.store (i32.const 16) (local.get $at))
                (i32.store (i32.const 20) (local.get $len))
                (drop (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24))))
            (func (export "_start")
                (local $at i32)
                (local $end i32)
                (i32.store (i32.const 32) (i32.const 4096))
                (i32.store (i32.const 36) (i32.const 65536))
                (drop (call $fd_read (i32.const 0) (i32.const 32) (i32.const 1) (i32.const 40)))
                {body}))"#
    );
    wat::parse_str(&text).unwrap()
}

fn says(said: &str) -> Vec<u8> {
    command(said, &say(said))
}

fn say(said: &str) -> String {
    format!("(call $write (i32.const 64) (i32.const {}))", said.len())
}

/// Answers with the content of its input, which is a text without quotes.
pub(crate) fn echo() -> Vec<u8> {
    // From behind `"content":` to the next quote but one, quotes included.
    let before = r#"{"ok":[{"type":"answer","content_type":"text/plain","content":"#;
    let body = format!(
        r"(local.set $at (i32.const 4096))
          (block $found (loop $next
            (br_if $found (i32.and
                (i32.eq (i32.load (local.get $at)) (i32.const 0x746e6574))
                (i32.eq (i32.load (i32.add (local.get $at) (i32.const 3))) (i32.const 0x223a2274))))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br $next)))
          (local.set $at (i32.add (local.get $at) (i32.const 6)))
          (local.set $end (i32.add (local.get $at) (i32.const 1)))
          (block $closed (loop $next
            (br_if $closed (i32.eq (i32.load8_u (local.get $end)) (i32.const 0x22)))
            (local.set $end (i32.add (local.get $end) (i32.const 1)))
            (br $next)))
          (call $write (i32.const 64) (i32.const {len}))
          (call $write (local.get $at) (i32.add (i32.const 1) (i32.sub (local.get $end) (local.get $at))))
          (call $write (i32.const {rest}) (i32.const 3))",
        len = before.len(),
        rest = 64 + before.len(),
    );
    command(&format!("{before}}}]}}"), &body)
}

/// Asks for another attempt until it is this one, below 10; then answers `done`.
pub(crate) fn from_attempt(attempt: u8) -> Vec<u8> {
    let said = r#"{"ok":[{"type":"answer","content_type":"text/plain","content":"done"}]}"#;
    // Behind `pt":`, which only `"attempt":` ends with.
    let body = format!(
        r"(local.set $at (i32.const 4096))
          (block $found (loop $next
            (br_if $found (i32.eq (i32.load (local.get $at)) (i32.const 0x3a227470)))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br $next)))
          (if (i32.lt_u (i32.load8_u (i32.add (local.get $at) (i32.const 4))) (i32.const {digit}))
            (then (call $exit (i32.const 75))))
          {say}",
        digit = b'0' + attempt,
        say = say(said),
    );
    command(said, &body)
}

/// Asks for another attempt after so many milliseconds, the first time; then answers `done`.
pub(crate) fn later(after_ms: u64) -> Vec<u8> {
    let retry = format!(r#"{{"retry":{{"reason":"later","after_ms":{after_ms}}}}}"#);
    let done = r#"{"ok":[{"type":"answer","content_type":"text/plain","content":"done"}]}"#;
    let body = format!(
        r"(local.set $at (i32.const 4096))
          (block $found (loop $next
            (br_if $found (i32.eq (i32.load (local.get $at)) (i32.const 0x3a227470)))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br $next)))
          (if (i32.eq (i32.load8_u (i32.add (local.get $at) (i32.const 4))) (i32.const 0x31))
            (then {first})
            (else (call $write (i32.const {rest}) (i32.const {len}))))",
        first = say(&retry),
        rest = 64 + retry.len(),
        len = done.len(),
    );
    command(&format!("{retry}{done}"), &body)
}

/// Ends with this exit code.
pub(crate) fn exits(code: u8) -> Vec<u8> {
    command("", &format!("(call $exit (i32.const {code}))"))
}

/// Does what WASM forbids.
pub(crate) fn traps() -> Vec<u8> {
    command("", "(unreachable)")
}

/// Computes for ever.
pub(crate) fn endless() -> Vec<u8> {
    command("", "(loop $again (br $again))")
}

/// Waits for an hour, which costs nothing but time.
pub(crate) fn hangs() -> Vec<u8> {
    // One subscription to the monotonic clock, relative, in nanoseconds.
    command(
        "",
        "(i32.store8 (i32.const 2056) (i32.const 0))
         (i32.store (i32.const 2064) (i32.const 1))
         (i64.store (i32.const 2072) (i64.const 3600000000000))
         (drop (call $poll (i32.const 2048) (i32.const 2304) (i32.const 1) (i32.const 2400)))",
    )
}

/// Answers with two outputs, `one` and `two`.
pub(crate) fn two() -> Vec<u8> {
    says(
        r#"{"ok":[{"type":"rich","content_type":"text/plain","content":"one"},{"type":"extra","content_type":"text/plain","content":"two"}]}"#,
    )
}

/// Answers with nothing.
pub(crate) fn filters() -> Vec<u8> {
    says(r#"{"ok":[]}"#)
}
