"""The chart: what it renders is what Kubernetes takes, whatever the size and the autoscaler; wrong values are refused."""

import json
from functools import cache

import kubernetes_validate
import pytest
import yaml

from chart import (CHART, EVERYTHING, NAMESPACE, NEEDED, PRESETS, PROVIDERS, RELEASE, SECRETS, SERVICES, all_of, containers,
                   merged, one, render, template)
from chart_crds import check as check_custom
from conftest import ROOT, run, tool

NAME = f"{RELEASE}-postrider"
# The oldest that the chart takes, and the newest that is known here.
KUBERNETES = ["1.30", "1.36"]


@cache
def everything(preset, provider):
    return render(EVERYTHING, {"autoscaling": {"provider": provider}}, preset=preset)


def test_lint_has_nothing_to_say(tmp_path):
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump(NEEDED))
    for files in [[], *(["-f", CHART / "presets" / f"{preset}.yaml"] for preset in PRESETS)]:
        run(tool("helm"), "lint", "--strict", CHART, "-f", values, *files)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("preset", [None, *PRESETS])
def test_every_size_and_autoscaler_is_valid_kubernetes(preset, provider):
    objects = everything(preset, provider)
    names = [(thing["kind"], thing["metadata"].get("namespace"), thing["metadata"]["name"]) for thing in objects]
    assert len(names) == len(set(names))
    for thing in objects:
        if thing["apiVersion"].split("/")[0] in ("monitoring.coreos.com", "gateway.networking.k8s.io", "keda.sh"):
            check_custom(thing)
            continue
        for version in KUBERNETES:
            kubernetes_validate.validate(thing, version, strict=True)
    kinds = {thing["kind"] for thing in objects}
    assert ("HorizontalPodAutoscaler" in kinds) == (provider in ("prometheus-adapter", "resource"))
    assert ("ScaledObject" in kinds) == (provider == "keda")


def test_what_is_secret_is_in_secrets_only():
    objects = everything(None, "prometheus-adapter")
    for thing in objects:
        text = json.dumps(thing)
        found = [value for value in SECRETS.values() if value in text]
        assert not found or thing["kind"] == "Secret", f"{thing['kind']} {thing['metadata']['name']} shows {found}"
    setup = one(objects, "Secret", f"{NAME}-setup")
    assert list(setup["stringData"]) == ["postgres-url"], "the jobs are given what they need"
    # With a Secret of one's own the chart makes none, and every reference is to it.
    own = render({"secrets": {"existingSecret": "mine", **dict.fromkeys(SECRETS, "")}})
    assert not all_of(own, "Secret")
    names = {
        entry["valueFrom"]["secretKeyRef"]["name"]
        for _, _, container in containers(own)
        for entry in container.get("env", [])
        if "secretKeyRef" in entry.get("valueFrom", {})
    }
    assert names == {"mine"}


def test_a_link_secret_is_made_where_none_is_given():
    made = one(render({"secrets": {"linkSecret": ""}}), "Secret", NAME)["stringData"]["link-secret"]
    assert len(made) == 48
    assert one(render({"secrets": {"linkSecret": ""}}), "Secret", NAME)["stringData"]["link-secret"] != made


def test_no_container_may_more_than_it_needs():
    for thing, spec, container in containers(everything(None, "prometheus-adapter")):
        assert spec["automountServiceAccountToken"] is False
        pod, own = spec["securityContext"], container["securityContext"]
        assert pod["runAsNonRoot"] and pod["runAsUser"] > 0 and pod["seccompProfile"]["type"] == "RuntimeDefault"
        assert own["readOnlyRootFilesystem"] and own["allowPrivilegeEscalation"] is False
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["requests"] and container["resources"]["limits"]["memory"]
        writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
        assert writable == {"executor": ["/var/cache/postrider"], "own-folder": ["/volume"]}.get(container["name"], [])


def test_images_are_those_of_everything_else():
    images = json.loads((ROOT / "deploy" / "images.json").read_text())
    used = {container["image"] for _, _, container in containers(everything(None, "none"))}
    ours = [*SERVICES, "postrider"]
    assert used == {f"{images[name]['repository']}:{images[name]['tag']}" for name in ours}
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    cargo = (ROOT / "Cargo.toml").read_text()
    assert f'\nversion = "{version}"\n' in cargo
    pinned = {"image": {"registry": "registry.example.org/team", "digests": {"receiver": "sha256:" + "a" * 64}}}
    used = {container["image"] for _, _, container in containers(render(pinned))}
    assert "registry.example.org/team/postrider/receiver@sha256:" + "a" * 64 in used


def test_ports_and_selectors_meet():
    objects = everything(None, "prometheus-adapter")
    pods = {thing["metadata"]["name"]: thing["spec"]["template"] for thing in all_of(objects, "Deployment")}

    def selected(selector):
        return [n for n, p in pods.items() if selector.items() <= p["metadata"]["labels"].items()]

    for service in all_of(objects, "Service"):
        (name,) = selected(service["spec"]["selector"])
        ports = {port["name"] for port in pods[name]["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
    for kind, where in [("PodDisruptionBudget", "selector"), ("NetworkPolicy", "podSelector")]:
        for thing in all_of(objects, kind):
            short = thing["metadata"]["name"].rsplit("-", 1)[1]
            found = selected(thing["spec"][where]["matchLabels"])
            assert found == ([f"{NAME}-{short}"] if short in SERVICES else []), thing["metadata"]["name"]
    services = {thing["metadata"]["name"]: thing for thing in all_of(objects, "Service")}
    for monitor in all_of(objects, "ServiceMonitor"):
        wanted, port = monitor["spec"]["selector"]["matchLabels"], monitor["spec"]["endpoints"][0]["port"]
        matching = [s for s in services.values() if wanted.items() <= s["metadata"]["labels"].items()]
        named = [s for s in matching if port in {p["name"] for p in s["spec"]["ports"]}]
        assert [s["metadata"]["name"] for s in named] == [monitor["metadata"]["name"] + "-metrics"]
        job = monitor["spec"]["endpoints"][0]["relabelings"][0]["replacement"]
        assert job == "postrider-" + monitor["metadata"]["name"].rsplit("-", 1)[1]
    for route in all_of(objects, "Ingress"):
        for path in route["spec"]["rules"][0]["http"]["paths"]:
            backend = path["backend"]["service"]
            assert backend["port"]["name"] in {p["name"] for p in services[backend["name"]]["spec"]["ports"]}
    for route in all_of(objects, "HTTPRoute"):
        for rule in route["spec"]["rules"]:
            (backend,) = rule["backendRefs"]
            assert backend["port"] in {p["port"] for p in services[backend["name"]]["spec"]["ports"]}


def test_on_one_host_clients_have_their_paths_and_producers_the_rest():
    host = {"host": "live.example.org"}
    one_host = {"ingress": {"enabled": True, "receiver": host, "distributor": host},
                "httpRoute": {"enabled": True, "parentRefs": [{"name": "g"}]}}
    objects = render(one_host)
    source = (ROOT / "distributor" / "src" / "http.rs").read_text()
    known = {part.split('"')[0] for part in source.split('.route("')[1:]} - {"/"}
    paths = one(objects, "Ingress", f"{NAME}-distributor")["spec"]["rules"][0]["http"]["paths"]
    assert {path["path"] for path in paths} == known
    matches = one(objects, "HTTPRoute", f"{NAME}-distributor")["spec"]["rules"][0]["matches"]
    assert {match["path"]["value"] for match in matches} == known
    assert one(objects, "HTTPRoute", f"{NAME}-distributor")["spec"]["rules"][0]["timeouts"]["request"] == "0s"


def test_only_directors_and_distributors_reach_the_link():
    objects = everything(None, "none")
    policy = one(objects, "NetworkPolicy", f"{NAME}-distributor")
    (link,) = [rule for rule in policy["spec"]["ingress"] if rule["ports"] == [{"port": "link"}]]
    who = [peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for peer in link["from"]]
    assert who == ["director", "distributor"]
    brokers = one(objects, "NetworkPolicy", f"{NAME}-receiver")["spec"]["egress"]
    assert [{"port": 9092}] in [rule["ports"] for rule in brokers]
    assert not all_of(render({"networkPolicy": {"enabled": False}}), "NetworkPolicy")


def test_a_setting_restarts_only_the_services_that_read_it():
    def sums(*layers):
        return {
            thing["metadata"]["name"]: thing["spec"]["template"]["metadata"]["annotations"]["checksum/settings"]
            for thing in all_of(render(*layers), "Deployment")
        }

    before, after = sums(), sums({"config": {"director": {"batch_records": 500}}})
    assert [name for name in before if before[name] != after[name]] == [f"{NAME}-director"]
    after = sums({"config": {"redis": {"timeout_ms": 900}}})
    assert [name for name in before if before[name] != after[name]] == [f"{NAME}-director", f"{NAME}-distributor"]


WRONG = {
    "a value that is not there": {"reciever": {"replicas": 3}},
    "a value that is not there, further down": {"distributor": {"autoscaling": {"session": 1}}},
    "a section that is not there": {"config": {"directory": {}}},
    "a setting that is not there": {"config": {"receiver": {"http": {"announce": 5}}}},
    "a setting of another kind": {"config": {"log": {"partitions": "twelve"}}},
    "a fraction": {"config": {"log": {"partitions": 12.5}}},
    "a secret among the settings": {"config": {"postgres": {"url": "postgres://app:secret@db/postrider"}}},
    "a link secret among the settings": {"config": {"director": {"link_secret": "hunter2"}}},
    "an address that is the chart's": {"config": {"distributor": {"link": {"advertise": "here:7000"}}}},
    "an operators' port that is the chart's": {"config": {"admin": {"listen": "0.0.0.0:1"}}},
    "an unknown autoscaler": {"autoscaling": {"provider": "vpa"}},
    "no replicas": {"receiver": {"replicas": -1}},
    "a port too high": {"ports": {"admin": 70000}},
    "a pull policy": {"image": {"pullPolicy": "Sometimes"}},
    "a digest": {"image": {"digests": {"receiver": "latest"}}},
    "an engine that it is not": {"secrets": {"postgresUrl": "mysql://db"}},
    "a short link secret": {"secrets": {"linkSecret": "short"}},
    "a number as a label": {"commonLabels": {"team": 7}},
    "a quantity": {"receiver": {"resources": {"limits": {"memory": "lots"}}}},
    "a policy without its period": {
        "director": {"autoscaling": {"behavior": {"scaleUp": {"policies": [{"type": "Pods", "value": 1}]}}}}
    },
    "a host with its scheme": {"ingress": {"receiver": {"host": "https://a.example.org"}}},
    "a sampler": {"tracing": {"sampler": "sometimes"}},
}


@pytest.mark.parametrize("what", WRONG)
def test_the_schema_refuses(what):
    result = template(WRONG[what], check=False)
    assert result.returncode != 0 and "schema" in result.stderr, result.stderr


IMPOSSIBLE = {
    "config.log.partitions is 12": {"director": {"autoscaling": {"maxReplicas": 13}}},
    "executor: 48 pods": {"executor": {"autoscaling": {"maxReplicas": 48}}},
    "director: 13 pods": {"autoscaling": {"provider": "none"}, "director": {"replicas": 13}},
    "minReplicas is above maxReplicas": {"receiver": {"autoscaling": {"minReplicas": 11}}},
    "must be below config.distributor.caps.sessions": {"config": {"distributor": {"caps": {"sessions": 20000}}}},
    "config.kafka.brokers": {"config": {"kafka": {"brokers": ""}}},
    "secrets.existingSecret": {"secrets": {"redisUrl": ""}},
    "secrets.authSecret must have": {"secrets": {"authSecret": "short"}},
    "config.auth.public_key is needed": {"config": {"auth": {"algorithm": "EdDSA"}}},
    "ingress.receiver.host": {"ingress": {"enabled": True}},
    "say how many proxies": merged(EVERYTHING, {"config": {"receiver": {"http": {"per_address": 50}}}}),
    "httpRoute.parentRefs": {"httpRoute": {"enabled": True}},
    "autoscaling.keda.serverAddress": {"autoscaling": {"provider": "keda"}},
    "there is no alert Lag": merged(EVERYTHING, {"monitoring": {"prometheusRule": {"thresholds": {"Lag": 5}}}}),
    "at least five seconds above preStopSeconds": {"receiver": {"terminationGracePeriodSeconds": 6}},
}


@pytest.mark.parametrize("said", IMPOSSIBLE)
def test_what_cannot_work_together_is_refused_in_words(said):
    result = template(IMPOSSIBLE[said], check=False)
    assert result.returncode != 0 and said in result.stderr, result.stderr


def test_rules_are_those_of_the_files_but_for_what_the_values_say():
    files = {name: yaml.safe_load((CHART / "files" / f"{name}.yaml").read_text()) for name in ("alerts", "recording")}
    rules = {thing["metadata"]["name"].rsplit("-", 1)[1]: thing["spec"] for thing in all_of(everything(None, "none"), "PrometheusRule")}
    text = json.dumps(files).replace('"docs/runbooks', '"https://example.org/postrider/docs/runbooks')
    assert rules == json.loads(text)
    options = {"thresholds": {"PostriderLagGrowing": 2500000}, "disabled": ["PostriderDeadLetters"]}
    changed = render(EVERYTHING, {"monitoring": {"prometheusRule": options}})
    found = [rule for group in one(changed, "PrometheusRule", f"{NAME}-alerts")["spec"]["groups"] for rule in group["rules"]]
    before = [rule for group in files["alerts"]["groups"] for rule in group["rules"]]
    assert {rule["alert"] for rule in before} - {rule["alert"] for rule in found} == {"PostriderDeadLetters"}
    lag = [rule["expr"] for rule in found if rule["alert"] == "PostriderLagGrowing"]
    assert lag and all(float(expr.rsplit("> ", 1)[1].split()[0]) == 2500000 for expr in lag)
    dashboards = sorted((CHART / "files" / "dashboards").glob("*.json"))
    maps = {thing["metadata"]["name"]: thing for thing in all_of(everything(None, "none"), "ConfigMap")}
    for path in dashboards:
        shown = maps[f"{NAME}-dashboard-{path.stem}"]
        assert json.loads(shown["data"][path.name]) == json.loads(path.read_text())
        assert shown["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_the_notes_say_where_things_are():
    shown = run(tool("helm"), "install", RELEASE, CHART, "--namespace", NAMESPACE, "--dry-run=client", "--set",
                "config.kafka.brokers=k:9092,secrets.existingSecret=mine").stdout
    assert "up to 256 connections to Postgres" in shown, "32 pods with 8 each"
    assert f"http://{NAME}-receiver.{NAMESPACE}:80" in shown and f"helm test {RELEASE}" in shown
