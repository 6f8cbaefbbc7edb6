//! A service's wall clock that is off: `clock.c`, compiled beside the service and preloaded into it. (libfaketime moves
//! the clock and not `cnd_timedwait`, whose deadlines the Kafka driver computes from it.)

use std::path::Path;
use std::process::Command;

/// Makes the service that `command` starts believe it is so many seconds later. `dir` takes the library.
pub fn put_off(command: &mut Command, dir: &Path, off_by_s: i64) {
    let library = dir.join("clock.so");
    if !library.exists() {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stack/clock.c");
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).args([source, "-ldl"]);
        let output = compile.output().expect("cc is installed: scripts/prerequisites");
        assert!(output.status.success(), "cc: {}", String::from_utf8_lossy(&output.stderr));
    }
    command.env("LD_PRELOAD", library).env("POSTRIDER_CLOCK_OFF_S", off_by_s.to_string());
}
