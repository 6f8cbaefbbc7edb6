"""A stand-in for nodes: runs the containers of pods as processes of this machine, with the commands, settings, secrets and
addresses that the pods state, probes them, tells the API how they are, and ends them as a node would (preStop, SIGTERM, the
grace period, SIGKILL). Images are not used: a command is looked for among our own programs. A path below a mount is replaced
by the folder that stands for it, `0.0.0.0` in the settings by the pod's address, and the name of a Service by the address of
a pod that is behind it."""

import base64
import datetime
import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from kube import PODS

NODE = "stand-in"


def now():
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Kubelet:
    def __init__(self, cluster, folder, programs, namespace):
        self.cluster, self.folder, self.programs, self.namespace = cluster, Path(folder), Path(programs), namespace
        self.base = f"/api/v1/namespaces/{namespace}"
        self.pods, self.ended, self.next = {}, [], 10
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.trouble = []

    def start(self):
        # Services have no pod whose node is not there.
        self.cluster.apply("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
        self.thread.start()

    def stop(self):
        """Ends everything that still runs."""
        self.stopping.set()
        self.thread.join(10)
        for pod in list(self.pods.values()):
            pod.kill()
        for pod in list(self.pods.values()):
            pod.thread.join(10)

    def _watch(self):
        while not self.stopping.wait(0.3):
            try:
                for thing in self.cluster.get(self.base + "/pods")["items"]:
                    uid = thing["metadata"]["uid"]
                    if uid not in self.pods:
                        if thing.get("status", {}).get("phase") != "Pending":
                            continue
                        self.next += 1
                        self.pods[uid] = Pod(self, thing, f"{PODS}{self.next}")
                        self.pods[uid].thread.start()
                    elif "deletionTimestamp" in thing["metadata"]:
                        self.pods[uid].leave(thing["metadata"]["deletionGracePeriodSeconds"])
            except OSError as error:
                self.trouble.append(str(error))


class Pod:
    def __init__(self, kubelet, thing, address):
        self.kubelet, self.cluster, self.thing, self.address = kubelet, kubelet.cluster, thing, address
        self.name = thing["metadata"]["name"]
        self.path = f"{kubelet.base}/pods/{self.name}"
        (self.container,) = thing["spec"]["containers"]
        self.folder = kubelet.folder / self.name
        self.leaving = threading.Event()
        self.grace = None
        self.process = None
        self.thread = threading.Thread(target=self._live, daemon=True)

    def leave(self, grace):
        if not self.leaving.is_set():
            self.grace = grace
            self.leaving.set()

    def kill(self):
        self.leave(0)
        if self.process and self.process.poll() is None:
            self.process.kill()

    def log(self):
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _live(self):
        try:
            self.cluster.send("POST", f"{self.path}/binding", {
                "apiVersion": "v1", "kind": "Binding", "metadata": {"name": self.name},
                "target": {"apiVersion": "v1", "kind": "Node", "name": NODE}})
            self._start()
            self._run()
        except (OSError, KeyError, StopIteration, subprocess.SubprocessError) as error:
            self.kubelet.trouble.append(f"{self.name}: {error!r}")
            if self.process and self.process.poll() is None:
                self.process.kill()

    def _folders(self, container):
        """Where each mount is, by its path in the container."""
        volumes = {volume["name"]: volume for volume in self.thing["spec"]["volumes"]}
        mounts = {}
        for mount in container["volumeMounts"]:
            volume = self.folder / mount["name"]
            if not volume.exists():
                volume.mkdir(parents=True)
                if "emptyDir" in volumes[mount["name"]]:
                    # As it is with `fsGroup`.
                    volume.chmod(0o2777)
            folder = mounts[mount["mountPath"]] = volume
            if "subPath" in mount:
                # Seen without what is above it in the volume. Who has not made it is given it as open as the volume.
                part = volume / mount["subPath"]
                if not part.exists():
                    part.mkdir()
                    part.chmod(0o2777)
                folder = mounts[mount["mountPath"]] = part.rename(self.folder / f"{mount['name']}-{mount['subPath']}")
            source = volumes[mount["name"]].get("configMap")
            if source:
                data = self.cluster.get(f"{self.kubelet.base}/configmaps/{source['name']}")["data"]
                for name, text in data.items():
                    (folder / name).write_text(text)
        for folder in mounts.values():
            for file in folder.glob("*.toml"):
                # Every address of the pod is the one that it has.
                file.write_text(self._placed(file.read_text(), mounts).replace('"0.0.0.0:', f'"{self.address}:'))
        return mounts

    def _placed(self, text, mounts):
        for path, folder in mounts.items():
            text = text.replace(path, str(folder))
        return text

    def _environment(self, mounts):
        found = {"PATH": f"{self.kubelet.programs}:{os.environ['PATH']}", "HOME": str(self.folder)}
        fields = {"status.podIP": self.address, "metadata.name": self.name, "metadata.namespace": self.kubelet.namespace}
        for entry in self.container.get("env", []):
            source = entry.get("valueFrom", {})
            if "secretKeyRef" in source:
                secret = self.cluster.get(f"{self.kubelet.base}/secrets/{source['secretKeyRef']['name']}")
                value = base64.b64decode(secret["data"][source["secretKeyRef"]["key"]]).decode()
            elif "fieldRef" in source:
                value = fields[source["fieldRef"]["fieldPath"]]
            else:
                value = re.sub(r"\$\((\w+)\)", lambda match: found.get(match[1], match[0]), entry.get("value", ""))
                value = self._resolved(self._placed(value, mounts))
            found[entry["name"]] = value
        return found

    def _resolved(self, url):
        """`http://service:port` as `http://pod:port`, as names and Services would do it."""
        match = re.fullmatch(r"http://([a-z0-9-]+):(\d+)", url)
        if not match:
            return url
        service = self.cluster.get(f"{self.kubelet.base}/services/{match[1]}")
        port = next(port for port in service["spec"]["ports"] if port["port"] == int(match[2]))
        selector = "&labelSelector=kubernetes.io/service-name=" + match[1]
        slices = self.cluster.get(f"/apis/discovery.k8s.io/v1/namespaces/{self.kubelet.namespace}/endpointslices?{selector}")
        for part in slices["items"]:
            target = next(p["port"] for p in part["ports"] if p["name"] == port["name"])
            for endpoint in part["endpoints"]:
                if endpoint["conditions"]["ready"]:
                    return f"http://{endpoint['addresses'][0]}:{target}"
        raise OSError(f"nobody is ready behind {match[1]}")

    def _initialize(self):
        """Runs what runs before, one after the other."""
        for container in self.thing["spec"].get("initContainers", []):
            mounts = self._folders(container)
            command = [self._placed(part, mounts) for part in container["command"]]
            subprocess.run(command, check=True, cwd=self.folder, timeout=60)

    def _start(self):
        self._initialize()
        mounts = self._folders(self.container)
        command = [*self.container.get("command", []), *self.container.get("args", [])]
        program = self.kubelet.programs / command[0]
        if program.is_file():
            command[0] = str(program)
        self.began = now()
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(command, env=self._environment(mounts), cwd=self.folder, stdout=log, stderr=log,
                                            start_new_session=True)

    def _tell(self, ready, ended=None):
        state = {"running": {"startedAt": self.began}}
        phase = "Running"
        if ended is not None:
            state = {"terminated": {"exitCode": ended, "startedAt": self.began, "finishedAt": now(), "reason": "Ended"}}
            phase = "Failed" if ended else "Succeeded"
        yes = {True: "True", False: "False"}
        self.cluster.patch(f"{self.path}/status", {"status": {
            "phase": phase, "podIP": self.address, "podIPs": [{"ip": self.address}], "hostIP": PODS + "1",
            "startTime": self.began,
            "conditions": [{"type": kind, "status": yes[value], "lastTransitionTime": now()} for kind, value in
                           [("PodScheduled", True), ("Initialized", True), ("ContainersReady", ready), ("Ready", ready)]],
            "containerStatuses": [{"name": self.container["name"], "image": self.container["image"], "imageID": "",
                                   "ready": ready, "started": ended is None, "restartCount": 0, "state": state}]}})

    def _probe(self, which):
        probe = self.container[which]["httpGet"]
        port = next(port["containerPort"] for port in self.container["ports"] if port["name"] == probe["port"])
        try:
            with urllib.request.urlopen(f"http://{self.address}:{port}{probe['path']}", timeout=3) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False

    def _run(self):
        ready, probed = False, "readinessProbe" in self.container
        self._tell(ready or not probed)
        while self.process.poll() is None and not self.leaving.is_set():
            if probed and (is_ready := self._probe("readinessProbe")) != ready:
                ready = is_ready
                self._tell(ready)
            self.leaving.wait(0.5)
        if self.leaving.is_set():
            self._end()
        else:
            self._tell(False, self.process.returncode)

    def _end(self):
        began = time.monotonic()
        deadline = began + self.grace
        sleep = self.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        while self.process.poll() is None and time.monotonic() < min(deadline, began + sleep):
            time.sleep(0.1)
        if self.process.poll() is None and self.grace:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                pass
        killed = self.process.poll() is None
        if killed:
            self.process.kill()
        self.kubelet.ended.append({"name": self.name, "killed": killed, "code": self.process.wait(),
                                   "seconds": time.monotonic() - began, "grace": self.grace})
        if not self.kubelet.stopping.is_set():
            self.cluster.send("DELETE", self.path, {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0})


def describe(kubelet):
    """How every pod is, for whoever reads a failure."""
    lines = list(kubelet.trouble[-5:])
    for pod in kubelet.pods.values():
        state = "runs" if pod.process and pod.process.poll() is None else "ended"
        lines += [f"{pod.name} {state}: {json.dumps(pod.log()[-400:])}"]
    return "\n".join(lines)
