"""What every test of `deploy/tests` may use: where things are, and programs that are there or missed by name."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# What to install for a program, in Debian's names where Debian has it.
INSTALL = {
    "promtool": "prometheus (Debian's name)",
    "prometheus": "prometheus (Debian's name)",
    "docker": "docker.io docker-compose (Debian's names)",
    "node": "nodejs (Debian's name), 20 or newer",
    "npm": "npm (Debian's name)",
    "go": "Go 1.26 or newer (go.dev)",
    "helm": "nothing: scripts/deploy-test builds it",
}


def pytest_configure(config):
    config.addinivalue_line("markers", "long: needs root, engines or long builds; scripts/deploy-test --long runs it")


def tool(name):
    """The path of a program. A test that needs one and cannot have it fails, and says what to install."""
    path = os.pathsep.join([str(ROOT / ".tools" / "bin"), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    found = shutil.which(name, path=path)
    if found is None:
        pytest.fail(f"{name} is missing: please install {INSTALL.get(name, name)}", pytrace=False)
    return found


def program(name="postrider"):
    """The path of one of our own programs: `POSTRIDER_PROGRAMS`, else `target/debug`."""
    folder = os.environ.get("POSTRIDER_PROGRAMS")
    folder = Path(folder) if folder else Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug"
    path = folder / name
    if not path.is_file():
        pytest.fail(f"{path} is missing: please run cargo build --workspace --bins", pytrace=False)
    return str(path)


def run(*command, check=True, **options):
    """Runs a program to its end. With `check`, a failure shows what it said."""
    options = {"capture_output": True, "text": True, "timeout": 300, **options}
    result = subprocess.run([str(part) for part in command], **options)
    if check and result.returncode != 0:
        pytest.fail(f"{command} ended with {result.returncode}:\n{result.stdout}\n{result.stderr}", pytrace=False)
    return result


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def helm():
    return tool("helm")
