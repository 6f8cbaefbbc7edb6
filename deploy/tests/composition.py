"""docker-compose.yml as the loader of `docker compose` reads it, and what stands around it."""

import json
import os
import re
import subprocess

import pytest

from conftest import ROOT, run, tool

COMPOSE = ROOT / "docker-compose.yml"
EXAMPLE = ROOT / ".env.example"
OURS = ("receiver", "director", "distributor", "executor")
JOBS = ("check", "topics", "migrate")
ENGINES = ("kafka", "postgres", "valkey")
OBSERVABILITY = ("collector", "jaeger", "prometheus", "loki", "grafana")


def loader():
    """The program that loads a compose file, built when it is missing or older than its source."""
    source, built = ROOT / "deploy" / "compose" / "config", ROOT / ".tools" / "bin" / "compose-config"
    newest = max(file.stat().st_mtime for file in source.iterdir())
    if not built.is_file() or built.stat().st_mtime < newest:
        built.parent.mkdir(parents=True, exist_ok=True)
        run(tool("go"), "build", "-trimpath", "-o", built, ".", cwd=source)
    return built


def load(profiles=(), env_file=EXAMPLE, files=(COMPOSE,), check=True):
    """The project, with these profiles on and this .env file; without `check` the ended process."""
    # Nothing of this shell: the .env file alone says what variables stand for.
    environment = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
    command = [str(loader()), "--env-file", str(env_file), "--profile", ",".join(profiles), *map(str, files)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, cwd=ROOT)
    if not check:
        return result
    if result.returncode:
        pytest.fail(f"the compose file cannot be loaded:\n{result.stderr}", pytrace=False)
    return json.loads(result.stdout)


def everything(env_file=EXAMPLE):
    return load(("observability", "cli"), env_file)["services"]


def example():
    """The variables of .env.example; those that are commented out are there with `None`."""
    lines = EXAMPLE.read_text().splitlines()
    found = (re.match(r"(# )?([A-Z][A-Z0-9_]*)=(.*)$", line) for line in lines)
    return {name: None if off else value for off, name, value in (match.groups() for match in found if match)}


def env_file(path, **changes):
    """A .env file: the example's with changes."""
    variables = {name: value for name, value in example().items() if value is not None} | changes
    path.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    return path
