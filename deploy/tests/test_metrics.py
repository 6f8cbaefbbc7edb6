"""Every series that a rule, dashboard, runbook or autoscaler names is told by a running pipeline, with the labels that are
asked for."""

import json
import sys

import pytest
from chart import EVERYTHING, render

import driven
import named
import promql
import standalone
from conftest import ROOT
from driven import OF_KAFKA, VALUES_OF_AN_OUTAGE

# What the scrape adds, in Kubernetes or everywhere.
OF_THE_TARGET = {"namespace", "pod", "job", "instance"}
# Told by Prometheus itself.
OF_PROMETHEUS = {"up", "ALERTS"}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """A pipeline in which everything has happened that can happen to one that is well."""
    with standalone.running(tmp_path_factory.mktemp("pipeline"), *driven.QUICK) as running:
        driven.drive(running)
        yield running


def expressions():
    """All of them."""
    rendered = render(EVERYTHING, {"autoscaling": {"provider": "keda"}})
    places = [named.rules(), named.dashboards(), named.pages(), named.adapter_rules(), named.autoscalers(rendered)]
    return [expression for place in places for expression in place]


def missing(expression, told, recorded):
    """What of an expression a pipeline does not tell."""
    selectors, grouped = promql.read(expression.text)
    labels = set(OF_THE_TARGET) | {"le"}
    for selector in selectors:
        if selector.name in recorded:
            labels |= set(recorded[selector.name])
            continue
        if selector.name in OF_PROMETHEUS:
            labels |= {"alertname", "alertstate", "severity"}
            continue
        if selector.name in OF_KAFKA:
            labels |= grouped
            continue
        found = told.get(selector.name)
        if found is None:
            yield f"{selector.name} is not told"
            continue
        names = {name for its in found for name in its}
        labels |= names
        asked = [matcher for matcher in selector.matchers if matcher[0] not in OF_THE_TARGET]
        yield from (f"{selector.name} has no label {name}" for name, _, _ in asked if name not in names)
        usual = tuple(one for one in asked if (selector.name, one[0], one[2]) not in VALUES_OF_AN_OUTAGE)
        narrowed = promql.Selector(selector.name, usual)
        if not any(narrowed.takes(its) for its in found):
            yield f"{selector.name} has no series with {usual}"
    yield from (f"no series has the label {name} that is grouped by" for name in grouped - labels)


def test_whatever_is_named_is_told(pipeline):
    told = {}
    for name, labels, _ in pipeline.scrape():
        told.setdefault(name, []).append(labels)
    everything = expressions()
    recorded = {}
    for one in everything:
        if one.recorded:
            recorded.setdefault(one.recorded, set()).update(
                promql.read(one.text)[1], ["engine"] if "engine" in one.recorded else []
            )
    wrong = sorted({f"{one.where}: {what}" for one in everything for what in missing(one, told, recorded)})
    assert len(everything) > 200
    assert not wrong, "\n".join(wrong)


def test_what_only_kafka_brings_is_documented_and_nothing_else_is_left_out(pipeline):
    documented = (ROOT / "docs" / "METRICS.md").read_text()
    told = {name for name, _, _ in pipeline.scrape()}
    assert not [name for name in OF_KAFKA if f"| `{name}` |" not in documented]
    assert not OF_KAFKA & told


def test_the_dashboards_are_what_is_generated():
    sys.path.insert(0, str(ROOT / "deploy" / "dashboards"))
    import generate

    committed = {file.name: file.read_text() for file in generate.FOLDER.glob("*.json")}
    assert committed == generate.files(), "run deploy/dashboards/generate.py"


@pytest.mark.parametrize("file", sorted(named.FILES.glob("dashboards/*.json")), ids=lambda file: file.stem)
def test_a_dashboard_hangs_together(file):
    made = json.loads(file.read_text())
    assert made["uid"] == f"postrider-{file.stem}"
    places = [panel["gridPos"] for panel in made["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    ids = [panel["id"] for panel in made["panels"]]
    assert len(ids) == len(set(ids))
    for panel in made["panels"]:
        refs = [target["refId"] for target in panel.get("targets", [])]
        assert len(refs) == len(set(refs))
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel.get("targets", []))


@pytest.mark.parametrize(
    ("text", "names", "grouped"),
    [
        ("sum by (a, b) (rate(x_total{c=~\"d|e\", f='g}'}[5m] offset 1h)) / on (a) group_left (h) y > 0.5 # z", "x_total y", "a b h"),
        ("histogram_quantile(0.9, sum(rate(x_bucket[1m])) by (le)) or absent(y) unless on () group(z{})", "x_bucket y z", "le"),
        ("namespace:x:rate5m == 1e3 and x > bool 0x1F @ start()", "namespace:x:rate5m x", ""),
    ],
)  # fmt: skip
def test_names_are_told_from_words(text, names, grouped):
    found, by = promql.read(text)
    assert ({selector.name for selector in found}, by) == (set(names.split()), set(grouped.split()))


def test_a_selector_takes_what_it_says():
    (selector,), _ = promql.read('x{a="1",b!="2",c=~"3|4",d!~"5.*"}')
    assert selector.takes({"a": "1", "b": "3", "c": "4", "d": "6"})
    for label, value in {"a": "2", "b": "2", "c": "34", "d": "57"}.items():
        assert not selector.takes({"a": "1", "b": "3", "c": "4", "d": "6", label: value})
