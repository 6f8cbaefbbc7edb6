"""The chart, rendered: used by the tests of the chart and of the cluster."""

import copy
import tempfile
from pathlib import Path

import yaml

from conftest import ROOT, run, tool

CHART = ROOT / "charts" / "postrider"
SERVICES = ["receiver", "director", "distributor", "executor"]
PRESETS = sorted(path.stem for path in (CHART / "presets").glob("*.yaml"))
PROVIDERS = ["prometheus-adapter", "keda", "resource", "none"]
RELEASE, NAMESPACE = "pr", "notify"

SECRETS = {
    "postgresUrl": "postgres://app:canary-postgres@db:5432/postrider",
    "redisUrl": "redis://:canary-redis@cache:6379",
    "linkSecret": "canary-link-0123456789",
    "authSecret": "canary-auth-0123456789-0123456789-0123",
}
# What no default can know.
NEEDED = {"config": {"kafka": {"brokers": "kafka-0:9092,kafka-1:9092"}}, "secrets": SECRETS}
# Everything that can be switched on.
EVERYTHING = {
    "ingress": {"enabled": True, "receiver": {"host": "a.example.org"}, "distributor": {"host": "b.example.org"}},
    "httpRoute": {"enabled": True, "parentRefs": [{"name": "gateway"}]},
    "tracing": {"endpoint": "http://collector:4317"},
    "autoscaling": {
        "keda": {"serverAddress": "http://prometheus:9090"},
        "prometheusAdapter": {"configMap": {"enabled": True, "namespace": "monitoring"}},
    },
    "monitoring": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True},
        "dashboards": {"enabled": True},
        "runbookUrl": "https://example.org/postrider",
    },
}


def merged(*layers):
    result = {}
    for layer in layers:
        for key, value in layer.items():
            if isinstance(value, dict) and isinstance(result.get(key), dict):
                result[key] = merged(result[key], value)
            else:
                result[key] = copy.deepcopy(value)
    return result


def template(*layers, preset=None, check=True):
    """Runs `helm template` with the values, `NEEDED` below them."""
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as values:
        yaml.safe_dump(merged(NEEDED, *layers), values)
        values.flush()
        files = ["-f", CHART / "presets" / f"{preset}.yaml"] if preset else []
        command = [tool("helm"), "template", RELEASE, CHART, "--namespace", NAMESPACE, "--kube-version", "1.36.0"]
        return run(*command, *files, "-f", values.name, check=check)


def render(*layers, preset=None):
    """The objects of the chart."""
    return [thing for thing in yaml.safe_load_all(template(*layers, preset=preset).stdout) if thing]


def one(objects, kind, name):
    found = [thing for thing in objects if (thing["kind"], thing["metadata"]["name"]) == (kind, name)]
    assert len(found) == 1, f"{len(found)} of {kind} {name}"
    return found[0]


def all_of(objects, kind):
    return [thing for thing in objects if thing["kind"] == kind]


def containers(objects):
    """Every container, with the object that has it."""
    for thing in objects:
        spec = thing["spec"]["template"]["spec"] if thing["kind"] in ("Deployment", "Job") else thing.get("spec")
        if thing["kind"] in ("Deployment", "Job", "Pod"):
            for container in spec.get("initContainers", []) + spec["containers"]:
                yield thing, spec, container


def adapter_rules():
    return yaml.safe_load(Path(CHART / "files" / "prometheus-adapter.yaml").read_text())["rules"]
