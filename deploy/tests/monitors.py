"""Prometheus and prometheus-adapter for the cluster of `kube.py`, both real. What the Prometheus operator would write into
Prometheus's configuration is written here from the chart's ServiceMonitors and PrometheusRules."""

import json
import subprocess
import urllib.parse
import urllib.request

import yaml

from conftest import tool
from kube import CONTROL, free_port, wait_for

MONITORING = "monitoring"
ADAPTER = "prometheus-adapter"


class Prometheus:
    def __init__(self, cluster):
        self.cluster, self.folder = cluster, cluster.folder / "prometheus"
        self.port = free_port()
        self.url = f"http://{CONTROL}:{self.port}"

    def configuration(self, namespace):
        base = f"/apis/monitoring.coreos.com/v1/namespaces/{namespace}"
        monitors = self.cluster.get(f"{base}/servicemonitors")["items"]
        rules = self.cluster.get(f"{base}/prometheusrules")["items"]
        for rule in rules:
            (self.folder / f"rules-{rule['metadata']['name']}.yaml").write_text(yaml.safe_dump(rule["spec"]))
        jobs = []
        for monitor in monitors:
            for endpoint in monitor["spec"]["endpoints"]:
                keep = [{"source_labels": ["__meta_kubernetes_service_label_" + key.replace(".", "_").replace("/", "_")],
                         "regex": value, "action": "keep"}
                        for key, value in monitor["spec"]["selector"]["matchLabels"].items()]
                keep.append({"source_labels": ["__meta_kubernetes_endpointslice_port_name"], "regex": endpoint["port"],
                             "action": "keep"})
                label = [{"source_labels": [f"__meta_kubernetes_{source}"], "target_label": target} for source, target in
                         [("namespace", "namespace"), ("service_name", "service"), ("pod_name", "pod")]]
                own = [{"target_label": entry["targetLabel"], "replacement": entry["replacement"]}
                       for entry in endpoint["relabelings"]]
                jobs.append({
                    "job_name": f"{namespace}/{monitor['metadata']['name']}",
                    "metrics_path": endpoint["path"], "scrape_interval": "2s", "scrape_timeout": "2s",
                    "kubernetes_sd_configs": [{
                        "role": "endpointslice", "kubeconfig_file": str(self.cluster.kubeconfig),
                        "namespaces": {"names": monitor["spec"]["namespaceSelector"]["matchNames"]}}],
                    "relabel_configs": keep + label + own})
        return {"global": {"evaluation_interval": "5s"}, "rule_files": [str(self.folder / "rules-*.yaml")],
                "scrape_configs": jobs}

    def start(self, namespace):
        self.folder.mkdir()
        file = self.folder / "prometheus.yml"
        file.write_text(yaml.safe_dump(self.configuration(namespace)))
        subprocess.run([tool("promtool"), "check", "config", file], check=True, capture_output=True)
        self.cluster.processes.start(
            "prometheus", tool("prometheus"), f"--config.file={file}", f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address={CONTROL}:{self.port}")
        wait_for("Prometheus answers", lambda: self.ask("vector(1)"))

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
