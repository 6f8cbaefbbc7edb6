"""A cluster without nodes: etcd, kube-apiserver and kube-controller-manager as own processes on addresses of their own, and a
client of their API. What nodes would do is done by `kubelet.py`."""

import base64
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

# A network of this machine alone: every address in it is ours to listen at, and none leaves the machine. Loopback
# addresses will not do: Kubernetes takes none as the address of a pod that a Service may have.
NETWORK = "10.88.0.0/16"
CONTROL = "10.88.0.1"
PODS = "10.88.1."
TOKEN = "token-of-the-test"
CONTROLLERS = ["deployment", "replicaset", "job", "horizontal-pod-autoscaler", "serviceaccount", "namespace", "endpointslice",
               "disruption", "garbage-collector", "root-ca-certificate-publisher"]


def wait_for(what, condition, seconds=120, every=0.3):
    """Asks again and again until the answer is neither empty nor an error; fails with the last one."""
    deadline, last = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        try:
            last = condition()
            if last:
                return last
        except (AssertionError, OSError, KeyError, IndexError, TypeError, ValueError) as error:
            last = error
        time.sleep(every)
    raise AssertionError(f"{what}: not within {seconds} s; last: {last!r}")


def free_port(address=CONTROL):
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


class Processes:
    """What was started, with its log; stopped by its id, the latest first."""

    def __init__(self, folder):
        self.folder, self.running = Path(folder), {}

    def start(self, name, *command, env=None):
        with (self.folder / f"{name}.log").open("ab") as log:
            started = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log, env=env, start_new_session=True)
        self.running[name] = started
        return started

    def log(self, name, lines=30):
        path = self.folder / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    def stop(self, name, grace=15):
        process = self.running.pop(name, None)
        if process and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(grace)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def stop_all(self):
        for name in reversed(list(self.running)):
            self.stop(name)


class Network:
    """The addresses, while the test runs."""

    def __enter__(self):
        if os.geteuid() != 0:
            raise AssertionError("the cluster's tests need root: they give this machine addresses of its own")
        subprocess.run(["ip", "route", "replace", "local", NETWORK, "dev", "lo"], check=True)
        return self

    def __exit__(self, *_error):
        subprocess.run(["ip", "route", "del", "local", NETWORK, "dev", "lo"], check=False)


class Certificates:
    def __init__(self, folder):
        self.folder = Path(folder)
        for name in ("ca", "front"):
            self._openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                          "-keyout", self.key(name), "-out", self.crt(name))
        self._openssl("genrsa", "-out", self.key("accounts"), "2048")

    def key(self, name):
        return self.folder / f"{name}.key"

    def crt(self, name):
        return self.folder / f"{name}.crt"

    def issue(self, name, ca, subject, *names):
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        self._openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", subject, "-keyout", self.key(name), "-out", request)
        extensions.write_text("subjectAltName=" + ",".join(names) if names else "basicConstraints=CA:FALSE")
        self._openssl("x509", "-req", "-days", "2", "-in", request, "-CA", self.crt(ca), "-CAkey", self.key(ca),
                      "-CAcreateserial", "-extfile", extensions, "-out", self.crt(name))

    @staticmethod
    def _openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


class Cluster:
    """The programs are in `programs`; everything that they write is in `folder`."""

    def __init__(self, folder, programs):
        self.folder, self.programs = Path(folder), Path(programs)
        self.processes = Processes(self.folder)
        self.port = free_port()
        self.url = f"https://{CONTROL}:{self.port}"

    def start(self):
        certificates = self.certificates = Certificates(self.folder)
        certificates.issue("server", "ca", "/CN=kube-apiserver", f"IP:{CONTROL}", "DNS:kubernetes.default.svc")
        certificates.issue("aggregator", "front", "/CN=aggregator")
        (self.folder / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n')
        self.tls = ssl.create_default_context(cafile=certificates.crt("ca"))
        self.kubeconfig = self.folder / "kubeconfig"
        ca = base64.b64encode(certificates.crt("ca").read_bytes()).decode()
        self.kubeconfig.write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": self.url, "certificate-authority-data": ca}}],
            "users": [{"name": "admin", "user": {"token": TOKEN}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        }))
        store, peers = (f"http://{CONTROL}:{free_port()}" for _ in range(2))
        self.processes.start("etcd", self.programs / "etcd", "--data-dir", self.folder / "etcd", "--listen-client-urls", store,
                             "--advertise-client-urls", store, "--listen-peer-urls", peers, "--unsafe-no-fsync")
        self.processes.start(
            "apiserver", self.programs / "kube-apiserver", f"--etcd-servers={store}", f"--bind-address={CONTROL}",
            f"--advertise-address={CONTROL}", f"--secure-port={self.port}", "--service-cluster-ip-range=10.89.0.0/16",
            f"--tls-cert-file={certificates.crt('server')}", f"--tls-private-key-file={certificates.key('server')}",
            f"--client-ca-file={certificates.crt('ca')}", f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--authorization-mode=RBAC", "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={certificates.key('accounts')}",
            f"--service-account-signing-key-file={certificates.key('accounts')}",
            # What aggregated servers believe of whoever comes through here.
            f"--requestheader-client-ca-file={certificates.crt('front')}", "--requestheader-allowed-names=aggregator",
            "--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-",
            f"--proxy-client-cert-file={certificates.crt('aggregator')}",
            f"--proxy-client-key-file={certificates.key('aggregator')}",
            # There is no proxy for the addresses of Services: it goes to the endpoints.
            "--enable-aggregator-routing=true")
        wait_for("the API server is ready", lambda: self._text("/readyz") == "ok", 180)
        self.processes.start(
            "controllers", self.programs / "kube-controller-manager", f"--kubeconfig={self.kubeconfig}",
            f"--bind-address={CONTROL}", f"--secure-port={free_port()}", "--leader-elect=false",
            f"--cert-dir={self.folder / 'controllers'}",
            f"--service-account-private-key-file={certificates.key('accounts')}",
            "--controllers=" + ",".join(f"{name}-controller" for name in CONTROLLERS),
            "--horizontal-pod-autoscaler-sync-period=3s", "--horizontal-pod-autoscaler-initial-readiness-delay=1s")

    def stop(self):
        self.processes.stop_all()

    def _text(self, path):
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(request, context=self.tls, timeout=20) as answer:
            return answer.read().decode()

    def get(self, path):
        return json.loads(self._text(path))

    def send(self, method, path, body=None, media="application/json"):
        request = urllib.request.Request(
            self.url + path, method=method, data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": media})
        try:
            with urllib.request.urlopen(request, context=self.tls, timeout=20) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise OSError(f"{method} {path}: {error.code} {error.read().decode()[:600]}") from error

    def patch(self, path, body):
        return self.send("PATCH", path, body, "application/strategic-merge-patch+json")

    def apply(self, path, *things):
        for thing in things:
            self.send("POST", path, thing)

    def environment(self):
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HELM_CACHE_HOME": str(self.folder / "helm")}


def custom_definition(group, version, kind, plural):
    """A definition that takes anything below `spec`: what the chart writes there is checked elsewhere."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": anything, "status": anything}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}",
                     "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"}},
        "spec": {"group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
                 "versions": [{"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}]},
    }


def build(root):
    """Builds the programs; the first time takes long. `POSTRIDER_CLUSTER_PROGRAMS` names a folder that has them."""
    given = os.environ.get("POSTRIDER_CLUSTER_PROGRAMS")
    programs = Path(given) if given else root / ".tools" / "cluster"
    if not given:
        if not shutil.which("go"):
            raise AssertionError("go is missing: please install Go 1.26 or newer (go.dev)")
        subprocess.run([root / "deploy" / "cluster" / "build", programs], check=True)
    return programs
