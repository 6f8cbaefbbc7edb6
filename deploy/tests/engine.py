"""A Docker engine of the tests' own: nothing of it is shared with one that may already run here."""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from conftest import INSTALL, ROOT, run, tool

INSTALL["dockerd"] = "docker.io (Debian's name)"
COMPOSE_VERSION = "v2.40.3"


class Engine:
    """dockerd with its own data and socket, and the clients that speak to it."""

    def __init__(self):
        if os.geteuid() != 0:
            pytest.fail("a Docker engine needs root", pytrace=False)
        # It asks for this one itself, and only once it runs.
        tool("iptables")
        self.dockerd = tool("dockerd")
        self.docker = client_of(self.dockerd)
        self.compose = compose()
        kept = os.environ.get("POSTRIDER_DOCKER_ROOT")
        self.folder = Path(tempfile.mkdtemp(prefix="docker-"))
        self.data = Path(kept) if kept else self.folder / "data"
        self.socket = self.folder / "sock"
        self.process = None

    def __enter__(self):
        command = [
            self.dockerd, "--data-root", self.data, "--exec-root", self.folder / "exec", "--pidfile", self.folder / "pid",
            "--host", f"unix://{self.socket}",
            # Networks of projects only: the default bridge may be another engine's.
            "--bridge", "none",
        ]  # fmt: skip
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(["nice", "-n", "10", *map(str, command)], stdout=log, stderr=log)
        deadline = time.monotonic() + 300
        while self.run("info", check=False).returncode != 0:
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = (self.folder / "log").read_text()[-4000:]
                self.__exit__()
                pytest.fail(f"dockerd does not come up:\n{said}", pytrace=False)
            time.sleep(0.5)
        return self

    def __exit__(self, *_):
        # It takes its own containerd with it.
        self.process.terminate()
        self.process.wait(180)
        shutil.rmtree(self.folder, ignore_errors=True)

    def environment(self, **more):
        kept = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
        programs = f"{Path(self.docker).parent}:{kept.get('PATH', '')}"
        return {**kept, "PATH": programs, "DOCKER_HOST": f"unix://{self.socket}", "DOCKER_BUILDKIT": "1", **more}

    def run(self, *command, **options):
        return run(self.docker, *command, env=self.environment(), **{"cwd": ROOT, "timeout": 600, **options})


def client_of(dockerd):
    """The client of the same package: a newer one builds by a plugin that may not be there."""
    version = version_of(dockerd)
    folders = os.get_exec_path() + ["/usr/bin"]
    for path in (Path(folder) / "docker" for folder in folders):
        if path.is_file() and version_of(path) == version:
            return str(path)
    pytest.fail(f"there is no docker client of dockerd's version {version}: please install docker.io", pytrace=False)


def version_of(program):
    return run(program, "--version").stdout.split()[2].rstrip(",")


def compose():
    """`docker compose`, built from source: Debian has only its predecessor."""
    built = ROOT / ".tools" / "bin" / "docker-compose"
    if built.is_file() and COMPOSE_VERSION.lstrip("v") in run(built, "version").stdout:
        return str(built)
    built.parent.mkdir(parents=True, exist_ok=True)
    go = tool("go")
    module = f"github.com/docker/compose/v2@{COMPOSE_VERSION}"
    with tempfile.TemporaryDirectory() as folder:
        # Not by `go install`: its go.mod excludes a version, which that refuses.
        source = run(go, "mod", "download", "-json", module).stdout.split('"Dir": "')[1].split('"')[0]
        shutil.copytree(source, f"{folder}/source", copy_function=shutil.copyfile)
        for path in [Path(folder), *Path(folder).rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        stamp = f"-s -w -X github.com/docker/compose/v2/internal.Version={COMPOSE_VERSION}"
        run("nice", "-n", "10", go, "build", "-trimpath", f"-ldflags={stamp}", "-o", built, "./cmd",
            cwd=f"{folder}/source", timeout=3600)  # fmt: skip
    return str(built)
