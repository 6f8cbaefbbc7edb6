//! `postrider bench` against a pipeline that it starts: a short load over every transport balances, and its result and its
//! report can be read.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn bench(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postrider"));
    command.arg("bench").args(arguments).current_dir(folder).env_remove("POSTRIDER_CONFIG");
    command.output().unwrap()
}

fn well(output: &Output) -> String {
    let (out, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{told}", output.status);
    out.into_owned()
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_load_over_every_transport_balances_and_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let load = [
        "run",
        "--start",
        "embedded",
        "--recipients",
        "30",
        "--ws",
        "20",
        "--sse",
        "10",
        "--poll",
        "10",
        "--notifications",
        "600",
        "--batch",
        "5",
        "--in-flight",
        "6",
        "--warm-up",
        "200ms",
        "--quiet",
        "--out",
        "a.json",
        "--html",
        "a.html",
    ];
    let figures = well(&bench(&load, folder.path()));
    assert!(figures.contains("acknowledged_per_second"), "{figures}");

    let result = read(&folder.path().join("a.json"));
    assert_eq!(result["figures"]["notifications"]["value"], 600.0);
    let ledger = &result["ledger"];
    assert_eq!(ledger["accepted"], ledger["acknowledged"]);
    assert!(ledger["accepted"].as_u64().unwrap() > 600, "the warm-up is accounted for, too: {ledger}");
    assert_eq!(result["acknowledged"]["summary"]["count"], 600);
    assert!(result["figures"]["cpu_us.standalone"]["value"].as_f64().is_some(), "{result}");
    assert!(!result["metrics"].as_object().unwrap().is_empty());

    let page = std::fs::read_to_string(folder.path().join("a.html")).unwrap();
    assert!(page.contains("each acknowledged once and in order"), "{page}");

    let compared = well(&bench(&["compare", "a.json", "a.json", "--fail-above", "1"], folder.path()));
    assert!(compared.contains("1.000"), "{compared}");
    well(&bench(&["report", "a.json", "a.json", "--out", "both.html"], folder.path()));
    assert!(std::fs::read_to_string(folder.path().join("both.html")).unwrap().contains("First and last"));
}

#[test]
fn idle_connections_are_measured_and_each_gets_one() {
    let folder = tempfile::tempdir().unwrap();
    let idle = [
        "idle",
        "--start",
        "embedded",
        "--ws",
        "40",
        "--sse",
        "10",
        "--poll",
        "10",
        "--steps",
        "20,60",
        "--rest",
        "0s",
        "--window",
        "200ms",
        "--then-one-each",
        "--quiet",
        "--out",
        "idle.json",
    ];
    well(&bench(&idle, folder.path()));
    let result = read(&folder.path().join("idle.json"));
    assert_eq!(result["ledger"]["acknowledged"], 60);
    assert_eq!(result["steps"].as_array().unwrap().len(), 3);
    assert!(result["figures"]["bytes_per_connection.standalone"]["value"].as_f64().is_some(), "{result}");
}

#[test]
fn a_load_that_nobody_takes_fails() {
    let folder = tempfile::tempdir().unwrap();
    // A port that nobody listens at.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let load = [
        "run",
        "--receiver",
        &nobody,
        "--distributor",
        &nobody,
        "--token-secret",
        "s",
        "--recipients",
        "1",
        "--connect-within",
        "1s",
        "--quiet",
    ];
    let output = bench(&load, folder.path());
    assert!(!output.status.success());
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("0 of 1 clients connected"), "{told}");
}
