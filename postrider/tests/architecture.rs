//! The rules of the code base that a machine can check, by reading `cargo metadata` and the files. A rule that is not
//! here (or a lint) is advice.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "architecture/metrics.rs"]
mod metrics;
#[path = "architecture/words.rs"]
mod words;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Files that decide: no I/O, no async, no clock. Folders count with everything in them.
const PURE: &[&str] = &[
    "bench/src/ledger.rs",
    "bench/src/schedule.rs",
    "bench/src/wire",
    "shared/src/notification.rs",
    "shared/src/recipient.rs",
    "shared/src/delivery.rs",
    "shared/src/outcome.rs",
    "shared/src/position.rs",
    "shared/src/topic.rs",
    "shared/src/record.rs",
    "shared/src/record",
    "shared/src/retry.rs",
    "receiver/src/admission.rs",
    "receiver/src/bound.rs",
    "receiver/src/content.rs",
    "director/src/breaker.rs",
    "director/src/lane.rs",
    "director/src/lane",
    "director/src/ranked.rs",
    "director/src/routing.rs",
    "shared/src/group/offsets.rs",
    "director/src/archiver/marking.rs",
    "director/src/archiver/reading.rs",
    "director/src/reconciler/account.rs",
    "director/src/reconciler/window.rs",
    "distributor/src/session.rs",
    "distributor/src/presence/owed.rs",
    "distributor/src/protocol",
    "executor/src/derived.rs",
    "executor/src/outputs.rs",
    "executor/src/plan.rs",
    "executor/src/routing.rs",
    "executor/src/sandbox/attempt.rs",
    "shared/src/digest.rs",
    "shared/src/store/task_rules.rs",
    "shared/src/task.rs",
    "shared/src/task",
    "executor/src/sandbox/failure.rs",
    "executor/src/sandbox/grants.rs",
    "executor/src/sandbox/memory.rs",
    "executor/src/sandbox/outputs.rs",
    "executor/src/schedules/firing.rs",
    "postrider/src/client/parser.rs",
    "postrider/src/client/seen.rs",
];

/// What a pure file may not name.
const IMPURE: [&str; 12] = [
    "tokio",
    "sqlx",
    "rdkafka",
    "redis::",
    "axum",
    "hyper",
    "reqwest",
    "SystemTime",
    "Instant::now",
    "std::fs",
    "std::net",
    "std::thread",
];

/// Where serde may be: files that say how something looks on a wire, at rest or in settings. Folders count with
/// everything in them.
const WIRE: &[&str] = &[
    "bench/src",
    "shared/src/clock.rs",
    "shared/src/config.rs",
    "shared/src/config",
    "shared/src/log",
    "shared/src/name.rs",
    "shared/src/notification.rs",
    "shared/src/problem.rs",
    "shared/src/process.rs",
    "shared/src/record",
    "shared/src/serve.rs",
    "shared/src/store",
    "shared/src/task",
    "receiver/src/config.rs",
    "receiver/src/config",
    "receiver/src/content.rs",
    "receiver/src/http",
    "receiver/src/modules",
    "director/src/config.rs",
    "director/src/config",
    "distributor/src/auth.rs",
    "distributor/src/auth",
    "distributor/src/config.rs",
    "distributor/src/config",
    "distributor/src/http",
    "distributor/src/protocol",
    "executor/src/config.rs",
    "executor/src/config",
    "executor/src/results.rs",
    "executor/src/sandbox/command/wire.rs",
    "executor/src/sandbox/egress/address.rs",
    "postrider/src/capacity",
    "postrider/src/cli/dead_letters/remote.rs",
    "postrider/src/cli/pages.rs",
    "postrider/src/cli/receiver.rs",
    "postrider/src/cli/send.rs",
    "postrider/src/cli/task/request.rs",
    "postrider/src/cli/task_local",
    "postrider/src/client",
    "postrider/src/data_dir.rs",
];

const NAMELESS_MODULES: [&str; 7] = ["util", "utils", "common", "helpers", "helper", "types", "misc"];

struct Source {
    path: String,
    text: String,
}

impl Source {
    fn is_in(&self, places: &[&str]) -> bool {
        let within = |place: &&str| self.path == *place || self.path.starts_with(&format!("{place}/"));
        places.iter().any(within)
    }

    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Without the tests beside the code and without comments.
    fn code(&self) -> String {
        let code = self.text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Whether it has this function as a test: by attribute, or as a scenario for both engine columns.
    fn has_test(&self, name: &str) -> bool {
        let lines: Vec<&str> = self.text.lines().map(str::trim).collect();
        let is_test = |line: &&str| line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let (plain, columned) = (format!("fn {name}("), format!("fn {name}_embedded("));
        let declared = |(at, line): (usize, &&str)| {
            (line.contains(&plain) || line.contains(&columned))
                && lines[at.saturating_sub(3)..at].iter().any(is_test)
        };
        let scenarios = self.text.split("on_both_columns!(").nth(1).and_then(|rest| rest.split(')').next());
        let listed = scenarios.is_some_and(|names| names.split([',', '\n']).any(|one| one.trim() == name));
        listed || lines.iter().enumerate().any(declared)
    }

    fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.name() == "tests.rs" || self.path.contains("/examples/")
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Every Rust file of the workspace.
fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    for part in ["shared", "receiver", "director", "distributor", "executor", "bench", "postrider"] {
        read_folder(&root().join(part), &mut sources);
    }
    assert!(sources.len() > 50, "found only {} files", sources.len());
    sources
}

fn read_folder(folder: &Path, sources: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            read_folder(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let relative = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            sources.push(Source { path: relative, text: std::fs::read_to_string(&path).unwrap() });
        }
    }
}

/// Fails with every place that breaks a rule, not with the first.
fn none(broken: &[String]) {
    assert!(broken.is_empty(), "\n  {}\n", broken.join("\n  "));
}

#[test]
fn services_depend_on_shared_only_and_shared_on_none() {
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .unwrap();
    let everything: BTreeSet<String> =
        metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let all = || everything.iter().filter(|name| *name != "postrider").cloned().collect::<BTreeSet<_>>();
    for package in &metadata.packages {
        let ours: BTreeSet<String> = package
            .dependencies
            .iter()
            .map(|dependency| dependency.name.clone())
            .filter(|name| everything.contains(name))
            .collect();
        let expected = match package.name.as_str() {
            "postrider-shared" => BTreeSet::new(),
            "postrider" => all(),
            _service => BTreeSet::from(["postrider-shared".to_owned()]),
        };
        assert_eq!(ours, expected, "{}", package.name);
    }
}

#[test]
fn pure_files_know_no_engine_no_runtime_and_no_clock() {
    let sources = sources();
    for place in PURE {
        assert!(sources.iter().any(|source| source.is_in(&[place])), "{place} is not there");
    }
    let mut broken = Vec::new();
    for source in sources.iter().filter(|source| source.is_in(PURE) && !source.is_test()) {
        let code = source.code();
        for word in IMPURE.iter().filter(|word| code.contains(**word)) {
            broken.push(format!("{} names {word}", source.path));
        }
    }
    none(&broken);
}

#[test]
fn serde_stays_in_wire_files() {
    let sources = sources();
    let strays = sources.iter().filter(|source| !source.is_in(WIRE) && !source.is_test());
    let named = |source: &&Source| {
        let code = source.code();
        code.contains("use serde") || code.contains("serde::") || code.contains("derive(Serialize")
    };
    none(&strays.filter(named).map(|source| source.path.clone()).collect::<Vec<_>>());
}

/// The one file that may have unsafe code; everything else fails to compile with it.
const UNSAFE: [&str; 1] = ["executor/src/sandbox/artefacts/code.rs"];

#[test]
fn unsafe_code_stays_in_one_file() {
    let sources = sources();
    let own = "postrider/tests/architecture.rs";
    let strays = sources.iter().filter(|source| !source.is_in(&UNSAFE) && source.path != own);
    let found = strays.filter(|source| source.text.contains("unsafe_code"));
    none(&found.map(|source| source.path.clone()).collect::<Vec<_>>());
}

#[test]
fn every_file_opens_with_what_it_is() {
    let silent = sources().into_iter().filter(|source| !source.text.starts_with("//! "));
    none(&silent.map(|source| source.path).collect::<Vec<_>>());
}

#[test]
fn files_stay_small() {
    let most = |source: &Source| if source.path.ends_with("src/main.rs") { 30 } else { 400 };
    let large = sources().into_iter().filter(|source| source.text.lines().count() > most(source));
    none(
        &large
            .map(|source| format!("{} has {}", source.path, source.text.lines().count()))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn a_module_is_named_after_what_is_in_it() {
    let sources = sources();
    let nameless = sources.iter().filter(|source| {
        let stem = source.name().trim_end_matches(".rs");
        stem == "mod" || NAMELESS_MODULES.contains(&stem)
    });
    none(&nameless.map(|source| source.path.clone()).collect::<Vec<_>>());
}

#[test]
fn names_use_the_words_of_the_glossary() {
    let mut broken = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        for line in source.code().lines() {
            let Some(name) = declared(line.trim_start()) else { continue };
            if words(name).iter().any(|word| words::BANNED.contains(&word.as_str())) {
                broken.push(format!("{}: {name}", source.path));
            }
        }
    }
    none(&broken);
}

/// The name that a line declares to other modules.
fn declared(line: &str) -> Option<&str> {
    let rest = ["pub(crate) ", "pub(super) ", "pub "].iter().find_map(|prefix| line.strip_prefix(prefix))?;
    let rest = rest.strip_prefix("const fn ").or_else(|| rest.strip_prefix("async fn ")).unwrap_or(rest);
    let kinds = ["struct ", "enum ", "trait ", "fn ", "mod ", "type ", "const ", "static "];
    let rest = kinds.iter().find_map(|kind| rest.strip_prefix(kind))?;
    rest.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').next()
}

/// The words of an identifier in either case.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for letter in name.chars() {
        if letter == '_' || letter.is_ascii_uppercase() {
            words.push(String::new());
        }
        if letter != '_' {
            words.last_mut().unwrap().push(letter.to_ascii_lowercase());
        }
    }
    words
}

#[test]
fn the_architecture_is_told_in_200_lines() {
    let lines = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap().lines().count();
    assert!(lines <= 200, "{lines} lines");
}

#[test]
fn the_architecture_names_files_that_exist() {
    let sources = sources();
    let told = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let paths = told.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let paths = paths.filter(|name| name.ends_with(".rs") || name.ends_with('/'));
    let is_folder = |name: &str| sources.iter().any(|source| source.path.contains(&format!("/{name}")));
    let missing = paths.filter(|name| !is_there(name, &sources) && !is_folder(name));
    none(&missing.map(str::to_owned).collect::<Vec<_>>());
}

#[test]
fn every_guarantee_names_tests_that_exist() {
    let sources = sources();
    let guarantees = std::fs::read_to_string(root().join("docs/GUARANTEES.md")).unwrap();
    let (mut named, mut broken) = (0, Vec::new());
    for row in guarantees.lines().filter(|line| line.starts_with('|')) {
        let mut file = "";
        // The last column names files, and behind each the tests that must be in it.
        let tests = row.trim_end_matches(['|', ' ']).rsplit('|').next().unwrap_or_default();
        for name in tests.split('`').skip(1).step_by(2) {
            named += 1;
            let is_file = name.contains('.') || name.contains('/');
            let known = match is_file {
                true => is_there(name, &sources),
                false => sources.iter().any(|source| source.path.ends_with(file) && source.has_test(name)),
            };
            if is_file {
                file = name;
            }
            if !known {
                broken.push(format!("{name} is named (in {file:?}) and is not there"));
            }
        }
    }
    assert!(named >= 60, "only {named} files and tests are named");
    none(&broken);
}

#[test]
fn every_mutant_applies_and_names_a_test_that_exists() {
    let sources = sources();
    let mut patches: Vec<PathBuf> =
        std::fs::read_dir(root().join("mutants")).unwrap().map(|entry| entry.unwrap().path()).collect();
    patches.sort();
    assert!(patches.len() >= 6, "only {} mutants", patches.len());
    let mut broken = Vec::new();
    for patch in patches {
        let text = std::fs::read_to_string(&patch).unwrap();
        let name = patch.file_name().unwrap().to_string_lossy();
        let test = text.lines().find_map(|line| line.strip_prefix("Test: ")?.rsplit(' ').next());
        if !test.is_some_and(|test| sources.iter().any(|source| source.has_test(test))) {
            broken.push(format!("{name} names {test:?}, which is not there"));
        }
        let mut check = std::process::Command::new("git");
        let check = check.arg("apply").arg("--check").arg(&patch).current_dir(root());
        if !check.status().unwrap().success() {
            broken.push(format!("{name} does not apply"));
        }
    }
    none(&broken);
}

/// Whether there is a file of this name: a Rust file by the end of its path, or any other from the root.
fn is_there(name: &str, sources: &[Source]) -> bool {
    sources.iter().any(|source| source.path.ends_with(name)) || root().join(name).exists()
}
