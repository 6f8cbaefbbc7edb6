"""Every PromQL expression that the repository names series in, with where it stands."""

import json
import re
from dataclasses import dataclass

import yaml

from conftest import ROOT

FILES = ROOT / "charts" / "postrider" / "files"
VARIABLES = {"$__rate_interval": "1m", "$__interval": "15s", "$namespace": ".*", "$job": ".*"}


@dataclass(frozen=True)
class Expression:
    """`where` it stands, and what it is; `recorded` is the series that it is recorded as."""

    where: str
    text: str
    recorded: str | None = None


def rules():
    """Of alerts and recording rules."""
    for file in ("alerts.yaml", "recording.yaml"):
        for group in yaml.safe_load((FILES / file).read_text())["groups"]:
            for rule in group["rules"]:
                name = rule.get("alert") or rule["record"]
                yield Expression(f"{file}: {name}", rule["expr"], rule.get("record"))


def dashboards():
    """Of panels and variables, as Grafana would ask for them."""
    for file in sorted((FILES / "dashboards").glob("*.json")):
        made = json.loads(file.read_text())
        for panel in made["panels"]:
            for target in panel.get("targets", []):
                yield Expression(f"{file.name}: {panel['title']}", filled(target["expr"]))
        for variable in made["templating"]["list"]:
            if variable["type"] == "query":
                inside = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"])
                yield Expression(f"{file.name}: ${variable['name']}", filled(inside.group(1)))


def filled(text):
    """With the dashboard's variables replaced, all namespaces and jobs chosen."""
    for variable, value in VARIABLES.items():
        text = text.replace(variable, value)
    assert "$" not in text, text
    return text


def pages():
    """Of the runbooks and OPERATING.md: blocks marked promql, an expression a line."""
    for file in [*sorted((ROOT / "docs" / "runbooks").glob("*.md")), ROOT / "docs" / "OPERATING.md"]:
        for block in re.findall(r"^```promql\n(.*?)^```", file.read_text(), re.MULTILINE | re.DOTALL):
            for line in block.splitlines():
                yield Expression(file.name, line)


def adapter_rules():
    """Of prometheus-adapter's rules, with what the adapter puts into them."""
    adapter = yaml.safe_load((FILES / "prometheus-adapter.yaml").read_text())
    rules_ = adapter.get("rules", adapter)
    for kind in ("default", "custom", "external"):
        found = rules_.get(kind) or []
        for rule in found if isinstance(found, list) else []:
            series = rule["seriesQuery"].split("{")[0].strip()
            where = f"prometheus-adapter.yaml: {rule['name'].get('as', series)}"
            yield Expression(where, rule["seriesQuery"])
            query = rule["metricsQuery"].replace("<<.Series>>", series)
            yield Expression(where, query.replace("<<.LabelMatchers>>", "").replace("<<.GroupBy>>", "namespace"))


def autoscalers(objects):
    """Of KEDA's triggers among rendered objects."""
    for document in objects:
        if document["kind"] == "ScaledObject":
            for trigger in document["spec"]["triggers"]:
                if trigger["type"] == "prometheus":
                    yield Expression(f"ScaledObject {document['metadata']['name']}", trigger["metadata"]["query"])
