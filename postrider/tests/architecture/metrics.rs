//! Every metric of the code stands in `docs/METRICS.md` with its kind and its labels, and every one there is of the code.

use std::collections::{BTreeMap, BTreeSet};

use super::{none, root, sources};

/// A metric, as the code or the document has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Metric {
    kind: String,
    labels: BTreeSet<String>,
}

const PREFIX: &str = "\"postrider_";

/// The metrics that `code` names in `counter!`, `gauge!` and `histogram!`, or times (`telemetry::timed`).
fn exported(code: &str, into: &mut BTreeMap<String, Metric>) {
    let mut constants = BTreeMap::new();
    for line in code.split("const ").skip(1) {
        let Some((name, value)) = line.split_once(": &str =") else { continue };
        let value = value.trim_start();
        if value.starts_with(PREFIX) {
            constants.insert(name.trim(), quoted(value).unwrap());
        }
    }
    for kind in ["counter", "gauge", "histogram"] {
        let opening = format!("{kind}!(");
        for (at, _) in code.match_indices(&opening).filter(|(at, _)| !code[..*at].ends_with("describe_")) {
            let arguments = &code[at + opening.len()..];
            let arguments = arguments.split(").").next().unwrap();
            let first = arguments.split(',').next().unwrap().trim();
            let name = quoted(first).or_else(|| constants.get(first).copied());
            let Some(name) = name else { continue };
            let metric = into.entry(name.to_owned()).or_default();
            metric.kind = kind.to_owned();
            let labels = arguments.match_indices(" =>").map(|(at, _)| &arguments[..at]);
            metric.labels.extend(labels.filter_map(last_quoted).map(str::to_owned));
        }
    }
    let timed = constants.into_iter().filter(|_| code.contains("timed(")).map(|(_, name)| name);
    for name in timed.filter(|name| name.ends_with("_call_seconds")) {
        let labels = ["engine", "operation", "outcome"].map(str::to_owned);
        into.insert(name.to_owned(), Metric { kind: "histogram".into(), labels: labels.into() });
    }
}

fn quoted(text: &str) -> Option<&str> {
    text.trim_start().strip_prefix('"')?.split('"').next()
}

/// The text that ends with `"name"`.
fn last_quoted(text: &str) -> Option<&str> {
    text.strip_suffix('"')?.rsplit('"').next()
}

/// The rows of the document: name, kind, labels.
fn documented() -> BTreeMap<String, Metric> {
    let text = std::fs::read_to_string(root().join("docs/METRICS.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `postrider_"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let (shown, kind) = (cells[1].trim_matches('`'), cells[2].to_owned());
        // The exporter puts it behind every counter.
        let name = if kind == "counter" { shown.strip_suffix("_total").unwrap_or(row) } else { shown };
        let labels = cells[3].split('`').skip(1).step_by(2).map(str::to_owned).collect();
        (name.to_owned(), Metric { kind, labels })
    })
    .collect()
}

#[test]
fn every_metric_is_documented_with_its_kind_and_labels() {
    let mut exported_ones = BTreeMap::new();
    let mut named = BTreeSet::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let code = source.code();
        exported(&code, &mut exported_ones);
        named.extend(code.match_indices(PREFIX).map(|(at, _)| quoted(&code[at..]).unwrap().to_owned()));
    }
    let documented = documented();
    let mut broken = Vec::new();
    for name in &named {
        match (exported_ones.get(name), documented.get(name)) {
            (Some(of_code), Some(of_document)) if of_code == of_document => {}
            (of_code, of_document) => {
                broken.push(format!("{name}: the code has {of_code:?}, docs/METRICS.md {of_document:?}"))
            }
        }
    }
    for name in documented.keys().filter(|name| !named.contains(*name)) {
        broken.push(format!("{name} is documented and not exported"));
    }
    assert!(named.len() > 60, "only {} metrics were found", named.len());
    none(&broken);
}
