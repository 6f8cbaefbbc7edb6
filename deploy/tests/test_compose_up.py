"""docker-compose.yml for real: an engine of one's own, images from the Dockerfile, engines of Debian's packages.

POSTRIDER_DOCKER_ROOT keeps the engine's images in a folder for the next run; POSTRIDER_IMAGE_PROFILE=dev builds the
programs faster. Needs root, docker.io, debootstrap and iptables.
"""

import json
import os
import socket
import urllib.request

import pytest

from composition import ENGINES, JOBS, OURS, env_file, load
from conftest import ROOT, run, tool
from engine import Engine

pytestmark = pytest.mark.long
IMAGES = (*OURS, "postrider")


@pytest.fixture(scope="module")
def engine():
    tool("debootstrap")
    with Engine() as engine:
        run(ROOT / "deploy" / "compose" / "local" / "images", env=engine.environment(), timeout=3600)
        profile = os.environ.get("POSTRIDER_IMAGE_PROFILE", "release")
        for target in IMAGES:
            engine.run(
                "build", "--quiet", "--network", "host", "--target", target, "--tag", f"postrider/{target}:0.1.0",
                "--build-arg", "RUST=postrider-local/rust:bookworm",
                "--build-arg", "DEBIAN=postrider-local/debian:bookworm",
                "--build-arg", f"PROFILE={profile}", ".", timeout=3 * 3600,
            )  # fmt: skip
        yield engine


class Stack:
    """The project, under a name of its own, on free ports."""

    def __init__(self, engine, folder, **changes):
        self.engine = engine
        self.receiver, *self.distributors = free_ports(3)
        first, last = sorted(self.distributors)
        # Docker takes a range only if it is one.
        ports = {"RECEIVER_PORT": self.receiver, "DISTRIBUTOR_PORT": f"{first}" if last - first != 1 else f"{first}-{last}"}
        self.file = env_file(folder / ".env", **{**ports, **changes})

    def run(self, *command, **options):
        files = ["-f", "docker-compose.yml", "-f", "deploy/compose/local-engines.yml"]
        options = {"cwd": ROOT, "timeout": 1200, **options}
        arguments = ["-p", "postrider-test", "--env-file", self.file, *files, *command]
        return run(self.engine.compose, *arguments, env=self.engine.environment(), **options)

    def up(self, *more, **options):
        return self.run("up", "--detach", "--no-build", "--wait", "--wait-timeout", "900", *more, **options)

    def cli(self, *command, variables=()):
        given = [part for variable in variables for part in ("--env", variable)]
        return self.run("run", "--rm", "--no-TTY", *given, "cli", *command).stdout.strip()

    def state(self):
        lines = self.run("ps", "--all", "--format", "json").stdout.splitlines()
        return [json.loads(line) for line in lines]

    def post(self, key, recipient, content):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.receiver}/v1/notifications",
            json.dumps({"to": {"recipient": recipient}, "type": "test", "content": content}).encode(),
            {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status == 202
            return json.load(answer)

    def down(self):
        self.run("down", "--volumes", "--timeout", "60")


@pytest.fixture(scope="module")
def stack(engine, tmp_path_factory):
    stack = Stack(engine, tmp_path_factory.mktemp("env"))
    try:
        stack.up()
        yield stack
    finally:
        stack.down()


def test_the_images_are_small_and_run_as_nobody_in_particular(engine):
    for name in IMAGES:
        image = f"postrider/{name}:0.1.0"
        [about] = json.loads(engine.run("image", "inspect", image).stdout)
        config = about["Config"]
        assert (config["User"], config["StopSignal"]) == ("10001:10001", "SIGTERM")
        assert config["Labels"]["org.opencontainers.image.version"] == "0.1.0"
        assert "0.1.0" in engine.run("run", "--rm", "--read-only", "--network", "none", image, "--version").stdout
        [base] = json.loads(engine.run("image", "inspect", "postrider-local/debian:bookworm").stdout)
        added = about["Size"] - base["Size"]
        print(f"{image}: {added / 1e6:.0f} MB above the base image")
        if os.environ.get("POSTRIDER_IMAGE_PROFILE", "release") == "release":
            assert added < 120e6, f"{image} is {added / 1e6:.0f} MB above its base"


def test_it_refuses_to_start_with_secrets_that_everybody_knows(engine, tmp_path):
    stack = Stack(engine, tmp_path, BIND="0.0.0.0")
    try:
        result = stack.run("run", "--rm", "--no-TTY", "check", check=False)
        assert result.returncode != 0
        assert "which everybody knows" in result.stderr + result.stdout
    finally:
        stack.down()


@pytest.mark.parametrize("profiles", ["", "observability", "cli", "observability,cli"])
def test_docker_compose_itself_takes_each_profile(engine, tmp_path, profiles):
    file = env_file(tmp_path / ".env", COMPOSE_PROFILES=profiles)
    arguments = ["--env-file", file, "config", "--format", "json"]
    services = json.loads(run(engine.compose, *arguments, env=engine.environment(), cwd=ROOT).stdout)["services"]
    expected = load(tuple(profiles.split(",")) if profiles else ())["services"]
    assert set(services) == set(expected)
    for name in services:
        assert services[name]["image"] == expected[name]["image"]
        assert (services[name].get("environment") or {}).items() <= (expected[name].get("environment") or {}).items()


def test_it_comes_up_healthy(stack):
    state = {container["Service"]: container for container in stack.state()}
    assert set(state) == {*OURS, *JOBS, *ENGINES}
    for name in (*OURS, *ENGINES):
        assert (state[name]["State"], state[name]["Health"]) == ("running", "healthy"), state[name]
    for name in JOBS:
        assert (state[name]["State"], state[name]["ExitCode"]) == ("exited", 0), state[name]


def test_a_notification_gets_through_and_survives_restarts(stack):
    key = stack.cli("key", "create", "--label", "test").splitlines()[-1]
    token = stack.cli("token", "create", "--recipient", "alice").splitlines()[-1]

    def listen(count):
        lines = stack.cli("listen", "alice", "--json", "--count", str(count), variables=[f"POSTRIDER_TOKEN={token}"])
        return [json.loads(line)["content"] for line in lines.splitlines() if line.startswith("{")]

    stack.post(key, "alice", {"n": 1})
    assert listen(1) == [{"n": 1}]

    # One service after the other, as in a deploy: what is posted meanwhile is there afterwards, in order.
    for number, service in enumerate(("distributor", "director", "executor"), start=2):
        stack.run("stop", service)
        stack.post(key, "alice", {"n": number})
        stack.run("start", service)
    stack.run("restart", "receiver")
    stack.up()
    stack.post(key, "alice", {"n": 5})
    assert listen(4) == [{"n": number} for number in (2, 3, 4, 5)]

    said = stack.cli("task", "run", "sum", "--to", "alice", "--input", "[1, 2, 39]", "--wait",
                     variables=[f"POSTRIDER_API_KEY={key}"])  # fmt: skip
    assert "completed" in said
    assert "42" in str(listen(1))


def test_an_engine_that_restarts_is_waited_for(stack):
    key = stack.cli("key", "create").splitlines()[-1]
    token = stack.cli("token", "create", "--recipient", "bob").splitlines()[-1]
    for name in ENGINES:
        stack.run("restart", name)
    stack.up()
    stack.post(key, "bob", "still here")
    variables = [f"POSTRIDER_TOKEN={token}"]
    lines = stack.cli("listen", "bob", "--json", "--count", "1", variables=variables).splitlines()
    assert json.loads(lines[-1])["content"] == "still here"


def test_two_distributors_are_two_nodes(engine, stack):
    if len(stack.distributors) and "-" not in stack.file.read_text().split("DISTRIBUTOR_PORT=")[1].split("\n")[0]:
        pytest.fail("no two free ports in a row were found")
    stack.up("--scale", "distributor=2")
    # The doctor counts the leases in the registry.
    assert "2 distributors are here" in stack.cli("doctor", "--running")


def test_logs_are_what_the_collector_reads(engine, stack):
    [container] = [found for found in stack.state() if found["Service"] == "receiver"]
    whole = engine.run("inspect", "--format", "{{.Id}}", container["ID"]).stdout.strip()
    lines = (engine.data / "containers" / whole / f"{whole}-json.log").read_text().splitlines()
    line = json.loads(lines[0])
    assert line["attrs"]["com.docker.compose.service"] == "receiver"
    assert line["attrs"]["tag"] == container["Name"]
    assert json.loads(line["log"])["level"] in ("INFO", "WARN")


def free_ports(count):
    """Ports that nobody has; the last two follow each other."""
    while True:
        with socket.socket() as one, socket.socket() as two, socket.socket() as three:
            one.bind(("127.0.0.1", 0))
            two.bind(("127.0.0.1", 0))
            try:
                three.bind(("127.0.0.1", two.getsockname()[1] + 1))
            except (OSError, OverflowError):
                continue
            return [one.getsockname()[1], two.getsockname()[1], three.getsockname()[1]][:count]
