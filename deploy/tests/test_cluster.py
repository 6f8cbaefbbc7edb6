"""The chart against Kubernetes itself: its API server and controllers, Helm, Prometheus, prometheus-adapter, Kafka, Redis,
Postgres and our own programs, all real. Only nodes are stood in for (`kubelet.py`): pods are processes of this machine."""

import http.client
import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from chart import CHART, EVERYTHING, NEEDED, PRESETS, SERVICES, merged
from conftest import ROOT, program, run, tool
from kube import Cluster, Network, build, custom_definition, wait_for
from kubelet import Kubelet, describe
from monitors import MONITORING, Prometheus, start_adapter

pytestmark = pytest.mark.long

RELEASE, NAMESPACE = "pr", "notify"
NAME = f"{RELEASE}-postrider"
AUTH = "a-secret-of-the-test-0123456789-0123456789"
CUSTOM = [
    ("monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors"),
    ("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules"),
    ("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes"),
    ("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects"),
]
QUICK = {
    "scaleUp": {"policies": [{"type": "Pods", "value": 4, "periodSeconds": 5}]},
    "scaleDown": {"stabilizationWindowSeconds": 10, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 5}]},
}


def values(brokers):
    scaling = {"minReplicas": 1, "maxReplicas": 3, "behavior": QUICK}
    return {
        "config": {"kafka": {"brokers": brokers}, "log": {"partitions": 4, "replication": 1},
                   "distributor": {"leave": {"spread_ms": 500, "after_ms": 100}}},
        "secrets": {"existingSecret": "engines"},
        "monitoring": {"serviceMonitor": {"enabled": True}, "prometheusRule": {"enabled": True},
                       "dashboards": {"enabled": True}},
        "autoscaling": {"prometheusAdapter": {"configMap": {"enabled": True, "namespace": MONITORING}}},
        "ingress": {"enabled": True, "receiver": {"host": "a.example.org"}, "distributor": {"host": "b.example.org"}},
        "httpRoute": {"enabled": True, "parentRefs": [{"name": "gateway"}]},
        **{service: {"replicas": 1, "autoscaling": scaling} for service in SERVICES},
        "distributor": {"replicas": 1, "autoscaling": {**scaling, "sessions": 10}},
    }


class Installation:
    def __init__(self, cluster, kubelet, engines, folder):
        self.cluster, self.kubelet, self.engines, self.folder = cluster, kubelet, engines, folder
        self.values = values(engines["KAFKA_BROKERS"])

    def helm(self, *arguments, check=True, **layers):
        command = [tool("helm"), *arguments, "--namespace", NAMESPACE]
        if arguments[0] in ("install", "upgrade"):
            file = self.folder / "values.yaml"
            file.write_text(yaml.safe_dump(merged(self.values, layers)))
            command += ["-f", file]
        result = run(*command, env=self.cluster.environment(), timeout=420, check=False)
        if check and result.returncode:
            pytest.fail(f"{result.stdout}{result.stderr}\n{describe(self.kubelet)}", pytrace=False)
        return result

    def deployment(self, service):
        return self.cluster.get(f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{NAME}-{service}")

    def scaler(self, service):
        base = f"/apis/autoscaling/v2/namespaces/{NAMESPACE}/horizontalpodautoscalers"
        return self.cluster.get(f"{base}/{NAME}-{service}")

    def addresses(self, service):
        label = f"app.kubernetes.io/component={service}".replace("/", "%2F").replace("=", "%3D")
        pods = self.cluster.get(f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector={label}")["items"]
        return [pod["status"]["podIP"] for pod in pods
                if "deletionTimestamp" not in pod["metadata"] and pod["status"]["containerStatuses"][0]["ready"]]


@pytest.fixture(scope="module")
def engines():
    given = {name: os.environ.get(f"POSTRIDER_TEST_{name}") for name in ("KAFKA_BROKERS", "REDIS_URL", "POSTGRES_URL")}
    folder = run(ROOT / "scripts" / "engines", "start", timeout=600).stdout.strip()
    try:
        shown = subprocess.run(["bash", "-c", f". {folder}/env; env"], check=True, capture_output=True, text=True).stdout
        named = dict(line.split("=", 1) for line in shown.splitlines() if line.startswith("POSTRIDER_TEST_"))
        yield {name: given[name] or named[f"POSTRIDER_TEST_{name}"] for name in given}
    finally:
        run(ROOT / "scripts" / "engines", "stop", folder)


@pytest.fixture(scope="module")
def installation(engines, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    programs = Path(program()).parent
    with Network():
        cluster = Cluster(folder, build(ROOT))
        kubelet = Kubelet(cluster, folder / "pods", programs, NAMESPACE)
        try:
            cluster.start()
            for name in (NAMESPACE, MONITORING):
                # A pod that asks for more than the strictest of the standard policies allows is refused by the API.
                labels = {"pod-security.kubernetes.io/enforce": "restricted"}
                cluster.apply("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace",
                                                     "metadata": {"name": name, "labels": labels}})
            cluster.apply("/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
                          *(custom_definition(*definition) for definition in CUSTOM))
            for group, version, _, plural in CUSTOM:
                wait_for(plural, lambda: "items" in cluster.get(f"/apis/{group}/{version}/{plural}"))
            secret = {"postgres-url": engines["POSTGRES_URL"], "redis-url": engines["REDIS_URL"],
                      "link-secret": "link-secret-of-the-test", "auth-secret": AUTH}
            cluster.apply(f"/api/v1/namespaces/{NAMESPACE}/secrets", {
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "engines"}, "stringData": secret})
            wait_for("the service account", lambda: cluster.get(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/default"))
            kubelet.start()
            installation = Installation(cluster, kubelet, engines, folder)
            installation.helm("install", RELEASE, str(CHART), "--wait", "--timeout", "5m")
            yield installation
        finally:
            kubelet.stop()
            cluster.stop()


@pytest.fixture(scope="module")
def measured(installation):
    """Prometheus, scraping what the ServiceMonitors select, and the adapter with the rules that the chart made."""
    cluster = installation.cluster
    prometheus = Prometheus(cluster, NAMESPACE)
    prometheus.start()
    rules = cluster.get(f"/api/v1/namespaces/{MONITORING}/configmaps/{NAME}-adapter-rules")
    up = 'count by (job) (up{namespace="%s",pod!=""} == 1)' % NAMESPACE
    wait_for("every service is scraped", lambda: len(prometheus.ask(up)) == 4)
    start_adapter(cluster, prometheus, rules["data"]["config.yaml"])
    yield prometheus
    prometheus.stop()


def test_the_jobs_ran_before_the_services_and_everything_is_ready(installation):
    logs = {name.removeprefix(NAME + "-").split("-")[0]: pod.log() for name, pod in
            ((pod.name, pod) for pod in installation.kubelet.pods.values())}
    assert "the schema is current" in logs["migrate"]
    assert "notifications: 4 partitions, made" in logs["topics"]
    jobs = installation.cluster.get(f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs")["items"]
    assert jobs == [], "a job that succeeded is cleared away"
    for service in SERVICES:
        status = installation.deployment(service)["status"]
        assert status["readyReplicas"] == status["replicas"] >= 1


def test_the_charts_own_test_delivers_a_notification(installation):
    installation.helm("test", RELEASE, "--timeout", "3m")
    (pod,) = [pod for pod in installation.kubelet.pods.values() if pod.name == f"{NAME}-test"]
    log = pod.log()
    assert "ok      registry: answers, 1 distributors are here" in log and "delivered" in log and "is revoked" in log


def listen(address, token):
    connection = http.client.HTTPConnection(address, 8081, timeout=30)
    connection.request("GET", "/v1/sse", headers={"Authorization": f"Bearer {token}"})
    response = connection.getresponse()
    assert response.status == 200
    return connection, response


def token(recipient):
    environment = {"POSTRIDER_AUTH__SECRET": AUTH, "PATH": os.environ["PATH"]}
    return run(program(), "token", "create", "--recipient", recipient, env=environment).stdout.strip()


def metrics(installation, service):
    """What the autoscaler was last told, by the metric's name; fails while it was not."""
    status = installation.scaler(service)["status"]
    conditions = {condition["type"]: condition for condition in status["conditions"]}
    assert conditions["ScalingActive"]["status"] == "True", conditions["ScalingActive"]["message"]
    found = {}
    for metric in status["currentMetrics"]:
        kind = metric["type"].lower()
        found[metric[kind]["metric"]["name"]] = metric[kind]["current"]
    return found


def number(text):
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def test_every_autoscaler_is_told_its_metrics_through_the_adapter(installation, measured):
    key = run(program(), "key", "create", "--label", "load",
              env={"POSTRIDER_POSTGRES__URL": installation.engines["POSTGRES_URL"], "PATH": os.environ["PATH"]}).stdout.strip()
    (receiver,) = installation.addresses("receiver")[:1]

    def send_some():
        connection = http.client.HTTPConnection(receiver, 8080, timeout=30)
        for _ in range(50):
            connection.request("POST", "/v1/to/nobody", body="hi", headers={"Authorization": f"Bearer {key}"})
            response = connection.getresponse()
            response.read()
            assert response.status == 202
        connection.close()

    def rate_is_seen():
        send_some()
        return number(metrics(installation, "receiver")["postrider_receiver_requests_per_second"]["averageValue"]) > 1

    wait_for("the receiver's autoscaler sees requests", rate_is_seen, 120, every=2)
    assert "postrider_sessions_open" in wait_for("sessions", lambda: metrics(installation, "distributor"))
    assert "postrider_log_lag_records" in wait_for("lag", lambda: metrics(installation, "director"))
    executor = wait_for("backlog", lambda: metrics(installation, "executor"))
    assert sorted(executor) == ["postrider_log_lag_records", "postrider_tasks_backlog_tasks"]
    shown = {service: metrics(installation, service) for service in SERVICES}
    print(json.dumps(shown, indent=1))


def test_more_clients_make_more_distributors_and_fewer_make_fewer(installation, measured):
    (first,) = installation.addresses("distributor")
    tokens = [token(f"client-{number}") for number in range(3)]
    clients = [listen(first, tokens[number % 3]) for number in range(25)]
    wait_for("25 sessions at 10 a pod are three pods", lambda: len(installation.addresses("distributor")) == 3)
    wait_for("the mean over them is told", lambda: abs(
        number(metrics(installation, "distributor")["postrider_sessions_open"]["averageValue"]) - 25 / 3) < 0.1)
    for connection, _ in clients:
        connection.close()
    ended = installation.kubelet.ended
    wait_for("one is left", lambda: len(installation.addresses("distributor")) == 1, 240)
    gone = wait_for("two are gone", lambda: [pod for pod in ended if "-distributor-" in pod["name"]][1:] and
                    [pod for pod in ended if "-distributor-" in pod["name"]])
    for pod in gone:
        assert (pod["killed"], pod["code"]) == (False, 0), f"{pod['name']} was not given the time that it takes: {pod}"
        assert 5 <= pod["seconds"] < pod["grace"], "first nothing but preStop, then the drain"


def test_a_deploy_moves_clients_and_keeps_the_number_of_pods(installation, measured):
    """From a stated number of pods to an autoscaler: no release in between leaves one pod where there were three."""
    installation.helm("upgrade", RELEASE, str(CHART), "--wait", "--timeout", "5m", autoscaling={"provider": "none"},
                      receiver={"replicas": 3})
    assert installation.deployment("receiver")["spec"]["replicas"] == 3
    slow = {"scaleDown": {"stabilizationWindowSeconds": 3600, "policies": [{"type": "Pods", "value": 1, "periodSeconds": 1800}]}}
    installation.helm("upgrade", RELEASE, str(CHART), "--wait", "--timeout", "5m",
                      receiver={"autoscaling": {"behavior": slow, "minReplicas": 3}})
    assert installation.deployment("receiver")["spec"]["replicas"] == 3
    assert installation.deployment("receiver")["metadata"]["generation"] >= 2
    seen = [pod for pod in installation.kubelet.ended if "-receiver-" in pod["name"]]
    assert seen == [], "nothing that the receiver reads was changed, and none was restarted"


def test_an_autoscaler_is_switched_off_by_force_only(installation):
    """The number of pods is the autoscaler's word until an operator takes it back, and says so."""
    two = {"autoscaling": {"minReplicas": 2, "maxReplicas": 2}}
    installation.helm("upgrade", RELEASE, str(CHART), "--wait", "--timeout", "5m", executor=two)
    wait_for("the autoscaler has spoken", lambda: installation.deployment("executor")["spec"]["replicas"] == 2)
    off = {"autoscaling": {"provider": "none"}, "receiver": {"replicas": 3}}
    refused = installation.helm("upgrade", RELEASE, str(CHART), check=False, **off)
    assert refused.returncode != 0 and ".spec.replicas" in refused.stderr, refused.stderr
    force = ["--force-conflicts", "--wait", "--timeout", "5m"]
    installation.helm("upgrade", RELEASE, str(CHART), *force, **off)
    base = f"/apis/autoscaling/v2/namespaces/{NAMESPACE}/horizontalpodautoscalers"
    assert installation.cluster.get(base)["items"] == []
    if installation.deployment("executor")["spec"]["replicas"] != 1:
        # The autoscaler spoke once more before it was gone.
        installation.helm("upgrade", RELEASE, str(CHART), *force, **off)
    assert installation.deployment("executor")["spec"]["replicas"] == 1


def test_a_link_secret_that_the_chart_made_outlasts_an_upgrade(installation):
    """A second installation, without its jobs and without nodes."""
    cluster = installation.cluster
    given = ["--set", "config.kafka.brokers=k:9092,secrets.postgresUrl=postgres://h/d,secrets.redisUrl=redis://h",
             "--set", f"secrets.authSecret={AUTH}", "--namespace", "second", "--no-hooks", "--create-namespace"]

    def secret():
        return cluster.get("/api/v1/namespaces/second/secrets/second-postrider")["data"]["link-secret"]

    run(tool("helm"), "install", "second", CHART, *given, env=cluster.environment())
    made = secret()
    run(tool("helm"), "upgrade", "second", CHART, *[part for part in given if part != "--create-namespace"],
        env=cluster.environment())
    assert secret() == made


@pytest.mark.parametrize("provider", ["keda", "resource"])
@pytest.mark.parametrize("preset", PRESETS)
def test_the_api_takes_every_size_with_everything_switched_on(installation, preset, provider):
    file = installation.folder / "everything.yaml"
    file.write_text(yaml.safe_dump(merged(NEEDED, EVERYTHING, {"autoscaling": {"provider": provider}})))
    where = ["--namespace", f"third-{preset}-{provider}"]
    environment = installation.cluster.environment()
    run(tool("helm"), "install", "third", CHART, *where, "--create-namespace", "--no-hooks", "-f",
        CHART / "presets" / f"{preset}.yaml", "-f", file, env=environment)
    run(tool("helm"), "uninstall", "third", *where, "--no-hooks", env=environment)


def test_an_uninstall_leaves_nothing(installation):
    installation.helm("uninstall", RELEASE, "--wait", "--timeout", "3m")

    def left():
        found = []
        for path in ("api/v1", "apis/apps/v1", "apis/batch/v1", "apis/networking.k8s.io/v1", "apis/autoscaling/v2", "apis/policy/v1"):
            for kind in installation.cluster.get(f"/{path}")["resources"]:
                if kind["namespaced"] and "/" not in kind["name"] and "list" in kind["verbs"] and kind["name"] != "events":
                    found += [(kind["kind"], thing["metadata"]["name"]) for thing in
                              installation.cluster.get(f"/{path}/namespaces/{NAMESPACE}/{kind['name']}")["items"]]
        return sorted(found)

    kept = [("ConfigMap", "kube-root-ca.crt"), ("Secret", "engines"), ("ServiceAccount", "default")]

    def cleared():
        found = [thing for thing in left() if thing != ("Pod", f"{NAME}-test")]
        assert found == kept, found
        return True

    wait_for("nothing is left but what was there, and the test's log", cleared)
    for pod in installation.kubelet.ended:
        assert not pod["killed"], pod
