"""The first run: what is refused before anything starts, and secrets of one's own."""

import re
from pathlib import Path

import pytest

from composition import env_file, everything, example
from conftest import ROOT, program, run

CHECK = ROOT / "deploy" / "compose" / "check"


def check(tmp_path, file):
    """Runs the `check` job's script as its container does."""
    environment = dict(everything(file)["check"]["environment"])
    environment["POSTRIDER_CONFIG"] = str(ROOT / "deploy" / "compose" / "postrider.toml")
    environment["PATH"] = f"{Path(program()).parent}:/usr/bin:/bin"
    return run("/bin/sh", CHECK, env=environment, check=False)


def test_the_example_is_enough_for_this_machine(tmp_path):
    result = check(tmp_path, env_file(tmp_path / ".env"))
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("bind", ["0.0.0.0", "192.0.2.7", "[::]"])
def test_secrets_that_everybody_knows_are_refused_where_others_come_in(tmp_path, bind):
    result = check(tmp_path, env_file(tmp_path / ".env", BIND=bind))
    assert result.returncode != 0
    for name, value in example().items():
        if value and value.startswith("example-"):
            assert f"check: {name} is the one of .env.example" in result.stderr


def test_passwords_that_would_break_a_url_are_refused(tmp_path):
    result = check(tmp_path, env_file(tmp_path / ".env", POSTGRES_PASSWORD="p@ss", VALKEY_PASSWORD="a/b"))
    assert result.returncode != 0
    assert "POSTGRES_PASSWORD may have" in result.stderr and "VALKEY_PASSWORD may have" in result.stderr


def test_all_mistakes_are_told_at_once(tmp_path):
    changes = {"POSTRIDER_LOG__PARTITIONS": "0", "POSTRIDER_AUTH__SECRET": "short", "VALKEY_PASSWORD": "a/b"}
    result = check(tmp_path, env_file(tmp_path / ".env", **changes))
    assert result.returncode != 0
    for part in ("log.partitions", "auth.secret", "VALKEY_PASSWORD"):
        assert part in result.stderr, result.stderr


def test_secrets_of_ones_own_are_accepted_everywhere_and_never_the_same_twice(tmp_path):
    made = [run(ROOT / "deploy" / "compose" / "secrets").stdout for _ in range(2)]
    file = tmp_path / ".env"
    file.write_text(made[0].replace("BIND=127.0.0.1", "BIND=0.0.0.0"))
    result = check(tmp_path, file)
    assert result.returncode == 0, result.stderr
    secrets = [re.findall(r"^\w*(?:PASSWORD|SECRET)=(.*)$", text, re.MULTILINE) for text in made]
    drawn = secrets[0] + secrets[1]
    assert len(drawn) == 10 and len(set(drawn)) == 10 and not any("example" in secret for secret in drawn)
