"""Autoscaling: each metric that an autoscaler asks for comes out of a rule, each rule's result is asked for, KEDA asks the
same, and nothing scales to where it would be of no use."""

import re

import pytest
import yaml

from chart import EVERYTHING, NAMESPACE, PRESETS, RELEASE, SERVICES, adapter_rules, all_of, one, render
from conftest import ROOT

NAME = f"{RELEASE}-postrider"


def scalers(provider, *layers, preset=None):
    kind = "ScaledObject" if provider == "keda" else "HorizontalPodAutoscaler"
    found = all_of(render(EVERYTHING, {"autoscaling": {"provider": provider}}, *layers, preset=preset), kind)
    return {thing["metadata"]["name"].removeprefix(NAME + "-"): thing["spec"] for thing in found}


def asked(hpas):
    """(kind, name, selector) of each metric, with the service that asks."""
    for service, spec in hpas.items():
        for metric in spec["metrics"]:
            kind = metric["type"].lower()
            yield service, kind, metric[kind]["metric"]["name"], metric[kind]["metric"].get("selector", {}), metric


def test_every_rule_feeds_an_autoscaler_and_every_autoscaler_has_a_rule():
    rules = adapter_rules()
    hpas = scalers("prometheus-adapter")
    assert sorted(hpas) == sorted(SERVICES)
    wanted = {(kind, name) for _, kind, name, _, _ in asked(hpas)}
    made = {("pods", rule["name"]["as"]) for rule in rules["custom"]}
    made |= {("external", rule["name"]["as"]) for rule in rules["external"]}
    assert wanted == made


def test_labels_that_are_selected_by_are_left_by_the_rule_and_documented():
    rules = {rule["name"]["as"]: rule for rule in adapter_rules()["external"]}
    documented = (ROOT / "docs" / "METRICS.md").read_text()
    for _, kind, name, selector, _ in asked(scalers("prometheus-adapter")):
        if kind != "external":
            continue
        labels = set(selector.get("matchLabels", {})) | {e["key"] for e in selector.get("matchExpressions", [])}
        by = re.search(r"by \((\w+)\)", rules[name]["metricsQuery"])[1]
        series = rules[name]["seriesQuery"].split("{")[0]
        assert labels == {by}
        row = next(line for line in documented.splitlines() if line.startswith(f"| `{series}`"))
        assert f"`{by}`" in row


def test_the_series_of_the_rules_are_documented():
    documented = (ROOT / "docs" / "METRICS.md").read_text()
    rules = adapter_rules()
    for rule in rules["custom"] + rules["external"]:
        series = rule["seriesQuery"].split("{")[0]
        assert f"`{series}`" in documented, series
        # A series without its namespace would be anybody's.
        assert 'namespace!=""' in rule["seriesQuery"]


def test_keda_asks_what_the_adapter_is_asked():
    rules = adapter_rules()
    queries = {rule["name"]["as"]: rule for rule in rules["custom"] + rules["external"]}
    hpas, scaled = scalers("prometheus-adapter"), scalers("keda")
    for service, spec in scaled.items():
        mine = [(kind, name, selector, metric) for s, kind, name, selector, metric in asked(hpas) if s == service]
        assert len(mine) == len(spec["triggers"])
        assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (
            hpas[service]["minReplicas"], hpas[service]["maxReplicas"])
        assert spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"] == hpas[service]["behavior"]
        for (kind, name, selector, metric), trigger in zip(mine, spec["triggers"], strict=True):
            assert trigger["metadata"]["threshold"] == metric[kind]["target"]["averageValue"]
            query, rule = trigger["metadata"]["query"], queries[name]
            series = rule["seriesQuery"].split("{")[0]
            labels = [f'namespace="{NAMESPACE}"']
            labels += [f'{k}="{v}"' for k, v in selector.get("matchLabels", {}).items()]
            labels += [f'{e["key"]}=~"{"|".join(e["values"])}"' for e in selector.get("matchExpressions", [])]
            assert series + "{" + ",".join(labels) + "}" in query
            # The adapter answers for each pod or label, and the autoscaler adds up; KEDA is asked for the sum.
            inner = re.sub(r"\{.*?\}", "", query)
            expected = rule["metricsQuery"].replace("<<.Series>>", series).replace("{<<.LabelMatchers>>}", "")
            summed = "sum(" + re.sub(r"^sum by \(.*?\) \((.*)\)$", r"\1", expected) + ")"
            single = re.sub(r" by \(\w+\) ", "", expected)
            assert inner in (summed, single), (inner, expected)


@pytest.mark.parametrize("preset", [None, *PRESETS])
def test_nothing_scales_to_where_it_is_of_no_use(preset):
    layer = EVERYTHING, {"autoscaling": {"provider": "prometheus-adapter"}}
    objects = render(*layer, preset=preset)
    tools = one(objects, "ConfigMap", f"{NAME}-tools")["data"]["postrider.toml"]
    partitions = int(re.search(r"^partitions = (\d+)$", tools, re.M)[1])
    hpas = scalers("prometheus-adapter", preset=preset)
    for service in ("director", "executor"):
        assert hpas[service]["maxReplicas"] <= partitions
    for service, spec in hpas.items():
        assert 2 <= spec["minReplicas"] < spec["maxReplicas"], "one may go"
        down = spec["behavior"]["scaleDown"]
        assert down["stabilizationWindowSeconds"] > spec["behavior"]["scaleUp"]["stabilizationWindowSeconds"]
        if service != "receiver":
            assert [(policy["type"], policy["value"]) for policy in down["policies"]] == [("Pods", 1)]
    # A pod that leaves is gone before the next one is told to.
    grace = one(objects, "Deployment", f"{NAME}-distributor")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert hpas["distributor"]["behavior"]["scaleDown"]["policies"][0]["periodSeconds"] > grace


@pytest.mark.parametrize("provider", ["prometheus-adapter", "keda", "resource", "none"])
def test_replicas_are_stated_only_where_nobody_scales(provider):
    objects = render(EVERYTHING, {"autoscaling": {"provider": provider}})
    for thing in all_of(objects, "Deployment"):
        assert ("replicas" in thing["spec"]) == (provider == "none")
    by_cpu = scalers("resource", {"director": {"autoscaling": {"enabled": False}}})
    assert sorted(by_cpu) == ["distributor", "executor", "receiver"]
    assert all(spec["metrics"][0]["resource"]["name"] == "cpu" for spec in by_cpu.values())


def test_the_rules_can_be_had_as_a_config_map():
    config = one(render(EVERYTHING), "ConfigMap", f"{NAME}-adapter-rules")
    assert config["metadata"]["namespace"] == "monitoring"
    rules = adapter_rules()
    assert yaml.safe_load(config["data"]["config.yaml"]) == {"rules": rules["custom"], "externalRules": rules["external"]}


def test_further_labels_go_into_every_selection():
    layer = {"autoscaling": {"metricLabels": {"cluster": "eu"}}}
    for _, kind, _, selector, _ in asked(scalers("prometheus-adapter", layer)):
        assert kind == "pods" or selector["matchLabels"]["cluster"] == "eu"
    for spec in scalers("keda", layer).values():
        assert all('cluster="eu"' in trigger["metadata"]["query"] for trigger in spec["triggers"])
