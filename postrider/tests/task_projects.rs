//! `postrider task` on the machine of who writes one: the examples are the projects that `init` writes, their committed
//! modules answer as their samples say, and what is wrong is said.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn postrider(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_postrider")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// What it printed, when it succeeded.
fn printed(arguments: &[&str]) -> String {
    let output = postrider(arguments);
    assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// What it printed, and what it said, when it failed with this code.
fn failed(code: i32, arguments: &[&str]) -> (String, String) {
    let output = postrider(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
    (text(&output.stdout), text(&output.stderr))
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/tasks").join(name)
}

const EXAMPLES: [(&str, &str); 2] = [("rust", "rust-order"), ("c", "c-redact")];

#[test]
fn the_committed_examples_answer_as_their_samples_say() {
    for (_lang, name) in EXAMPLES {
        let shown = printed(&["task", "test", example(name).to_str().unwrap()]);
        let samples = fs::read_dir(example(name).join("samples")).unwrap().count();
        assert_eq!(shown.matches(": as expected (").count(), samples, "{shown}");
    }
}

#[test]
fn a_new_project_is_the_example_and_passes_its_samples() {
    let folder = tempfile::tempdir().unwrap();
    for (lang, name) in EXAMPLES {
        let project = folder.path().join(lang);
        let at = project.to_str().unwrap();
        printed(&["task", "init", at, "--lang", lang]);
        let again = failed(2, &["task", "init", at, "--lang", lang]).1;
        assert!(again.contains("is not empty"), "{again}");
        assert!(failed(1, &["task", "test", at]).1.contains("task.wasm cannot be read"));

        for file in files(&example(name)) {
            let made = ["Cargo.lock", "task.wasm"].iter().any(|made| file == Path::new(made));
            let written = fs::read(project.join(&file)).ok();
            assert!(
                made || written == Some(fs::read(example(name).join(&file)).unwrap()),
                "{name}: {}",
                file.display()
            );
        }
    }
}

/// All files of a folder, links followed, but what a build leaves.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for path in fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
            match path.is_dir() {
                true if path.ends_with("target") => {}
                true => folders.push(path),
                false => found.push(path.strip_prefix(folder).unwrap().to_owned()),
            }
        }
    }
    found
}

/// A project whose `build` does what is given, with one sample.
fn project(folder: &Path, build: &str, module: &str, sample: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::create_dir_all(folder.join("samples")).unwrap();
    fs::write(folder.join("build"), format!("#!/bin/sh\n{build}\n")).unwrap();
    fs::set_permissions(folder.join("build"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::copy(example("c-redact").join(module), folder.join("task.wasm")).unwrap();
    fs::write(folder.join("samples/one.json"), sample).unwrap();
}

#[test]
fn a_sample_that_is_answered_otherwise_is_shown_and_fails() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().to_str().unwrap();
    let sample = r#"{"input":{"content_type":"text/plain","content":"a"},"answer":{"ok":[{"content":"b"}]}}"#;
    project(folder.path(), "true", "task.wasm", sample);
    let (shown, said) = failed(1, &["task", "test", at]);
    assert!(
        shown.contains("one: not as expected") && shown.contains(r#"expected {"ok":[{"content":"b"}]}"#),
        "{shown}"
    );
    assert!(said.contains("1 of 1 samples not as expected"), "{said}");

    fs::write(folder.path().join("samples/one.json"), r#"{"input":{"content":1,"contnet":2},"answer":{}}"#)
        .unwrap();
    let (_shown, said) = failed(1, &["task", "test", at]);
    assert!(said.contains("one: unknown field `contnet`"), "{said}");
}

#[test]
fn a_build_that_fails_or_makes_no_task_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().to_str().unwrap();
    project(folder.path(), "exit 3", "task.wasm", "{}");
    assert!(failed(1, &["task", "build", at]).1.contains("ended with exit status: 3"));

    project(folder.path(), "printf 'no wasm' > task.wasm", "task.wasm", "{}");
    assert!(failed(4, &["task", "build", at]).1.contains("invalid_module"));

    project(folder.path(), "true", "task.wasm", "{}");
    fs::write(folder.path().join("settings.json"), r#"{"grants":{"clokc":true}}"#).unwrap();
    assert!(failed(2, &["task", "build", at]).1.contains("clokc"));

    fs::remove_file(folder.path().join("settings.json")).unwrap();
    let built = printed(&["task", "build", at]);
    assert!(built.contains("task.wasm  ") && built.contains("  sha256:"), "{built}");
}

#[test]
fn a_module_or_a_built_in_is_tried_with_an_input() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("input.json");
    let at = input.to_str().unwrap();
    fs::write(&input, r#"{"content":[0.1,0.2],"type":"total"}"#).unwrap();
    let told = printed(&["task", "try", "sum", "--input", at]);
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!(told["ok"][0]["content"], serde_json::json!({"count": 2, "sum": 0.3}));

    let redact = example("c-redact").join("task.wasm");
    fs::write(&input, r#"{"content_type":"text/plain","content":"1234567890123"}"#).unwrap();
    let output = postrider(&["task", "try", redact.to_str().unwrap(), "--input", at]);
    assert!(text(&output.stdout).contains("xxxxxxxxx0123"), "{output:?}");
    assert!(
        text(&output.stderr).contains(" fuel, ") && text(&output.stderr).contains("  info: hid a number")
    );

    let settings = folder.path().join("limits.json");
    fs::write(&settings, r#"{"limits":{"fuel":10000}}"#).unwrap();
    fs::write(&input, format!(r#"{{"content_type":"text/plain","content":"{}"}}"#, "1".repeat(20_000)))
        .unwrap();
    let limited =
        ["task", "try", redact.to_str().unwrap(), "--input", at, "--settings", settings.to_str().unwrap()];
    let (told, said) = failed(1, &limited);
    assert!(told.contains(r#""code":"fuel""#) && said.contains("fuel: "), "{told}{said}");
}
