"""Alerts and recording rules by themselves: promtool takes them, each alert has its tests and its runbook."""

import re
from functools import cache

import pytest
import yaml

from chart import EVERYTHING, render
from conftest import ROOT, run, tool

FILES = ROOT / "charts" / "postrider" / "files"
RUNBOOKS = ROOT / "docs" / "runbooks"
RULE_FILES = [FILES / "alerts.yaml", FILES / "recording.yaml"]
RULE_TESTS = sorted(FILES.glob("*_test.yaml"))
THRESHOLD = re.compile(r"[0-9.]+ # threshold$", re.MULTILINE)


def rules(file):
    return [rule for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


ALERTS = rules(FILES / "alerts.yaml")
NAMES = sorted({rule["alert"] for rule in ALERTS})


def named(rule):
    told_apart = [rule["labels"][key] for key in ("service", "engine", "cause", "severity") if key in rule["labels"]]
    return "-".join([rule["alert"], *told_apart])


def test_promtool_takes_the_rules():
    run(tool("promtool"), "check", "rules", *RULE_FILES)


def test_promtool_takes_what_the_chart_makes_of_the_rules(tmp_path):
    options = {"prometheusRule": {"enabled": True, "thresholds": {"PostriderLagGrowing": 5000}}}
    made = [one for one in render(EVERYTHING, {"monitoring": options}) if one["kind"] == "PrometheusRule"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [g for one in made for g in one["spec"]["groups"]]}))
    said = run(tool("promtool"), "check", "rules", tmp_path / "rules.yaml").stdout
    assert f"{len(ALERTS) + len(rules(FILES / 'recording.yaml'))} rules found" in said
    assert (tmp_path / "rules.yaml").read_text().count("> 5000") == 2


def test_the_rules_pass_their_tests():
    run(tool("promtool"), "test", "rules", *(file.name for file in RULE_TESTS), cwd=FILES)


@cache
def expectations():
    """What the tests expect of `ALERTS`: the matchers that are asked for, and the labels that are told."""
    found = []
    for file in RULE_TESTS:
        for test in yaml.safe_load(file.read_text())["tests"]:
            for expected in test.get("promql_expr_test", []):
                asked = dict(re.findall(r'(\w+)="([^"]*)"', expected["expr"]))
                told = [dict(re.findall(r'(\w+)="([^"]*)"', sample["labels"])) for sample in expected["exp_samples"]]
                found.append((asked, told))
    return found


@pytest.mark.parametrize("rule", ALERTS, ids=named)
def test_each_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not(rule):
    own = {"alertname": rule["alert"], **rule["labels"]}
    told = [labels for _, samples in expectations() for labels in samples]
    assert any(own.items() <= labels.items() for labels in told), "no test in which it fires"
    # A test in which it does not asks for this one, by what tells it from others of its name.
    silent = [asked for asked, samples in expectations() if not samples and asked.get("alertname") == rule["alert"]]
    assert any(all(asked.get(key, value) == value for key, value in own.items()) for asked in silent), "always fires"


@pytest.mark.parametrize("rule", ALERTS, ids=named)
def test_each_alert_says_what_it_means_and_where_to_read_on(rule):
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"
    # One at most, so that one value can be set for an alert.
    assert len(THRESHOLD.findall(rule["expr"])) == rule["expr"].count("# threshold") <= 1


def test_each_alert_has_a_runbook_and_each_runbook_an_alert():
    assert sorted(file.stem for file in RUNBOOKS.glob("*.md")) == NAMES


SECTIONS = [
    "What it means",
    "Who notices",
    "First look",
    "Causes, the likeliest first",
    "What to do",
    "It is over when",
]


@pytest.mark.parametrize("alert", NAMES)
def test_each_runbook_has_what_one_looks_for_at_night(alert):
    text = (RUNBOOKS / f"{alert}.md").read_text()
    assert text.startswith(f"# {alert}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS


def test_a_recorded_series_is_recorded_once_and_named_by_its_labels():
    for rule in rules(FILES / "recording.yaml"):
        level, _, _ = rule["record"].split(":")
        labels = {label.strip() for label in re.search(r"by \(([^)]*)\)", rule["expr"]).group(1).split(",")} - {"le"}
        assert set(level.split("_")) == labels | set(rule.get("labels", {})), rule["record"]
