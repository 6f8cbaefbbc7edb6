"""Prometheus and prometheus-adapter for the cluster of `kube.py`, both real. What the Prometheus operator would write into
Prometheus's configuration is written here from the chart's ServiceMonitors and PrometheusRules."""

import json
import threading
import urllib.parse
import urllib.request

import yaml

from conftest import run, tool
from kube import CONTROL, free_port, wait_for

MONITORING = "monitoring"
ADAPTER = "prometheus-adapter"


class Prometheus:
    """Discovers as the operator's configuration would let it: what stands in the EndpointSlices of the Services that a
    ServiceMonitor selects. Debian's build cannot ask Kubernetes itself, so it is told by files."""

    def __init__(self, cluster, namespace):
        self.cluster, self.namespace, self.folder = cluster, namespace, cluster.folder / "prometheus"
        self.port = free_port()
        self.url = f"http://{CONTROL}:{self.port}"
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._follow, daemon=True)

    def start(self):
        self.folder.mkdir()
        base = f"/apis/monitoring.coreos.com/v1/namespaces/{self.namespace}"
        for rule in self.cluster.get(f"{base}/prometheusrules")["items"]:
            (self.folder / f"rules-{rule['metadata']['name']}.yaml").write_text(yaml.safe_dump(rule["spec"]))
        self.monitors = self.cluster.get(f"{base}/servicemonitors")["items"]
        jobs = []
        for monitor in self.monitors:
            (endpoint,) = monitor["spec"]["endpoints"]
            jobs.append({
                "job_name": f"{self.namespace}/{monitor['metadata']['name']}",
                "metrics_path": endpoint["path"], "scrape_interval": "2s", "scrape_timeout": "2s",
                "file_sd_configs": [{"files": [str(self._targets(monitor))], "refresh_interval": "5s"}],
                "relabel_configs": [{"target_label": entry["targetLabel"], "replacement": entry["replacement"]}
                                    for entry in endpoint["relabelings"]]})
        self._discover()
        file = self.folder / "prometheus.yml"
        file.write_text(yaml.safe_dump({
            "global": {"evaluation_interval": "5s"}, "rule_files": [str(self.folder / "rules-*.yaml")],
            "scrape_configs": jobs}))
        run(tool("promtool"), "check", "config", file)
        self.cluster.processes.start(
            "prometheus", tool("prometheus"), f"--config.file={file}", f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address={CONTROL}:{self.port}")
        self.thread.start()
        wait_for("Prometheus answers", lambda: self.ask("vector(1)"))

    def stop(self):
        self.stopping.set()
        self.thread.join(10)

    def _targets(self, monitor):
        return self.folder / f"{monitor['metadata']['name']}.json"

    def _follow(self):
        while not self.stopping.wait(1):
            try:
                self._discover()
            except OSError:
                continue

    def _discover(self):
        services = self.cluster.get(f"/api/v1/namespaces/{self.namespace}/services")["items"]
        slices = self.cluster.get(f"/apis/discovery.k8s.io/v1/namespaces/{self.namespace}/endpointslices")["items"]
        for monitor in self.monitors:
            wanted, port = monitor["spec"]["selector"]["matchLabels"], monitor["spec"]["endpoints"][0]["port"]
            names = [s["metadata"]["name"] for s in services if wanted.items() <= s["metadata"]["labels"].items()]
            found = []
            for part in slices:
                name = part["metadata"]["labels"]["kubernetes.io/service-name"]
                numbers = [p["port"] for p in part["ports"] or [] if p["name"] == port] if name in names else []
                found += [{"targets": [f"{endpoint['addresses'][0]}:{number}"],
                           "labels": {"namespace": self.namespace, "service": name, "pod": endpoint["targetRef"]["name"]}}
                          for number in numbers for endpoint in part["endpoints"] or []]
            new = self.folder / "new"
            new.write_text(json.dumps(found))
            new.rename(self._targets(monitor))

    def ask(self, query):
        url = f"{self.url}/api/v1/query?" + urllib.parse.urlencode({"query": query})
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.loads(answer.read())["data"]["result"]


def start_adapter(cluster, prometheus, rules):
    """Starts the adapter with the rules, as text, and registers it with the aggregator, by TLS that is verified."""
    certificates, port = cluster.certificates, free_port()
    name = f"{ADAPTER}.{MONITORING}.svc"
    certificates.issue("adapter", "ca", "/CN=adapter", f"DNS:{name}")
    (cluster.folder / "adapter.yaml").write_text(rules)
    cluster.processes.start(
        "adapter", cluster.programs / "adapter", f"--prometheus-url={prometheus.url}",
        f"--config={cluster.folder / 'adapter.yaml'}", "--metrics-relist-interval=3s", f"--bind-address={CONTROL}",
        f"--secure-port={port}", f"--tls-cert-file={certificates.crt('adapter')}",
        f"--tls-private-key-file={certificates.key('adapter')}", f"--lister-kubeconfig={cluster.kubeconfig}",
        f"--authentication-kubeconfig={cluster.kubeconfig}", f"--authorization-kubeconfig={cluster.kubeconfig}")
    base = f"/api/v1/namespaces/{MONITORING}/services"
    metadata = {"name": ADAPTER, "namespace": MONITORING}
    cluster.apply(base, {"apiVersion": "v1", "kind": "Service", "metadata": metadata,
                         "spec": {"ports": [{"name": "https", "port": 443, "targetPort": port}]}})
    cluster.apply(f"/apis/discovery.k8s.io/v1/namespaces/{MONITORING}/endpointslices", {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {**metadata, "labels": {"kubernetes.io/service-name": ADAPTER}},
        "ports": [{"name": "https", "port": port}],
        "endpoints": [{"addresses": [CONTROL], "conditions": {"ready": True}}]})
    authority = json.loads(cluster.kubeconfig.read_text())["clusters"][0]["cluster"]["certificate-authority-data"]
    apis = [("custom.metrics.k8s.io", "v1beta1"), ("custom.metrics.k8s.io", "v1beta2"), ("external.metrics.k8s.io", "v1beta1")]
    for group, version in apis:
        cluster.apply("/apis/apiregistration.k8s.io/v1/apiservices", {
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": f"{version}.{group}"},
            "spec": {"group": group, "version": version, "groupPriorityMinimum": 100, "versionPriority": 100,
                     "caBundle": authority, "service": {"name": ADAPTER, "namespace": MONITORING, "port": 443}}})
    for group, version in apis:
        wait_for(f"{version}.{group} is served", lambda: _available(cluster, f"{version}.{group}"))


def _available(cluster, name):
    status = cluster.get(f"/apis/apiregistration.k8s.io/v1/apiservices/{name}")["status"]
    (condition,) = [c for c in status["conditions"] if c["type"] == "Available"]
    assert condition["status"] == "True", condition["message"]
    return True
