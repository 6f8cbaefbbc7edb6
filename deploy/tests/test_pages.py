"""What OPERATING.md and the runbooks tell people to type is there: commands, flags, settings, pages."""

import re
from functools import cache

import pytest
from conftest import ROOT, program, run

PAGES = [ROOT / "docs" / "OPERATING.md", *sorted((ROOT / "docs" / "runbooks").glob("*.md"))]
# Consumer groups, which are named like settings.
GROUPS = {"executor.tasks", "executor.enrichment"}
SECTIONS = "admin auth director distributor executor kafka log postgres receiver redis store telemetry".split()


def commands(text):
    """Of code spans, and of the lines of shell blocks."""
    text = re.sub(r"`\s*\n\s*", "` ", text)
    spans = re.findall(r"`(postrider [^`]+)`", text)
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    return spans + [
        line.strip() for block in blocks for line in block.splitlines() if line.strip().startswith("postrider ")
    ]


@cache
def help_of(*words):
    return run(program(), *words, "--help", check=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_is_one(page):
    for command in commands(page.read_text()):
        words = re.sub(r"[…&]|#.*", "", command).split()[1:]
        named = []
        for word in words:
            if not re.fullmatch(r"[a-z-]+", word) or word.startswith("-") or help_of(*named, word).returncode:
                break
            # A command without commands of its own takes any word for an argument.
            if named and "Commands:" not in help_of(*named).stdout:
                break
            named.append(word)
        assert named, command
        for flag in (word for word in words if word.startswith("--")):
            assert f"{flag.split('=')[0]} " in help_of(*named).stdout.replace("\n", " \n"), f"{command}: no {flag}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_that_is_linked_is_there(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert "://" in target or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_setting_is_one(page):
    shown = run(program(), "config", "print").stdout
    known, section = set(), ""
    for line in shown.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif match := re.match(r"(\w+) =", line):
            known.add(f"{section}.{match.group(1)}")
    # Whole names only; what follows one in the same sentence may leave out what it has in common with it.
    for name in re.findall(rf"`((?:{'|'.join(SECTIONS)})\.[a-z_.]+)`", page.read_text()):
        assert name in known | GROUPS, name
