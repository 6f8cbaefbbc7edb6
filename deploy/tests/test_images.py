"""Names and versions of images: deploy/images.json, and everybody who uses one."""

import json
import re

import pytest
import tomllib
import yaml

from composition import everything
from conftest import ROOT

OURS = ("receiver", "director", "distributor", "executor", "postrider")


@pytest.fixture(scope="module")
def images():
    return json.loads((ROOT / "deploy" / "images.json").read_text())


def full(image):
    return f"{image['repository']}:{image['tag']}"


def test_ours_have_the_version_of_the_workspace(images):
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    for name in OURS:
        assert images[name] == {"repository": f"postrider/{name}", "tag": version}
    assert f"ARG VERSION={version}\n" in dockerfile()


def test_every_image_is_pinned(images):
    for name, image in images.items():
        assert set(image) == {"repository", "tag"} and image["tag"] not in ("", "latest"), name


def test_compose_uses_them(images):
    services = everything()
    tools = {"check", "topics", "migrate", "cli"}
    for name, service in services.items():
        assert service["image"] == full(images["postrider" if name in tools else name]), name
    used = {service["image"] for service in services.values()}
    assert used == {full(image) for name, image in images.items() if name not in ("rust", "debian")}


def test_compose_builds_each_of_ours_from_its_target():
    for name, service in everything().items():
        if service["image"].startswith("postrider/"):
            target = service["image"].removeprefix("postrider/").split(":")[0]
            assert service["build"]["target"] == target, name
            assert f" AS {target}\n" in dockerfile()


def test_the_dockerfile_builds_on_them_with_the_toolchain_of_this_repository(images):
    text = dockerfile()
    assert f"ARG RUST={full(images['rust'])}\n" in text
    assert f"ARG DEBIAN={full(images['debian'])}\n" in text
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${RUST}", "${DEBIAN}", "runtime"}
    channel = tomllib.loads((ROOT / "rust-toolchain.toml").read_text())["toolchain"]["channel"]
    assert images["rust"]["tag"].split("-")[0] == channel
    # One C library for what builds and what runs.
    assert images["rust"]["tag"].split("-")[1] == images["debian"]["tag"].split("-")[0]


def test_the_images_do_not_run_as_root_and_stop_in_order():
    runtime = dockerfile().split("AS runtime\n")[1].split("\nFROM ")[0]
    user = re.search(r"^USER (\d+):(\d+)$", runtime, re.MULTILINE)
    assert user and int(user[1]) >= 10000
    assert "\nSTOPSIGNAL SIGTERM\n" in runtime
    assert "\nUSER" not in dockerfile().split("AS runtime\n")[1].split("\nFROM ", 1)[1]
    for target in OURS:
        stage = dockerfile().split(f" AS {target}\n")[1].split("\nFROM ")[0]
        program = "postrider" if target == "postrider" else f"postrider-{target}"
        assert f'ENTRYPOINT ["{program}"]' in stage


def test_the_chart_uses_them(images):
    chart = ROOT / "charts" / "postrider"
    image = yaml.safe_load((chart / "values.yaml").read_text())["image"]
    assert image["repositories"] == {name: images[name]["repository"] for name in OURS}
    described = yaml.safe_load((chart / "Chart.yaml").read_text())
    assert image["tag"] or described["appVersion"] == images["receiver"]["tag"]


def test_nobody_names_another_version(images):
    """Wherever a repository of the list stands with a tag, it is the tag of the list."""
    folders = [ROOT / "charts", ROOT / "pulumi", ROOT / "deploy"]
    kinds = {".yaml", ".yml", ".ts", ".json", ".tpl", ".toml"}
    files = [ROOT / "docker-compose.yml", ROOT / "Dockerfile"]
    for folder in folders:
        files += [file for file in folder.rglob("*") if file.suffix in kinds and "node_modules" not in file.parts]
    wrong = []
    for file in files:
        text = file.read_text()
        for image in images.values():
            for tag in re.findall(rf"(?<![\w./-]){re.escape(image['repository'])}:([\w][\w.-]*)", text):
                if tag != image["tag"] and "." in tag:
                    wrong.append(f"{file.relative_to(ROOT)}: {image['repository']}:{tag}")
    assert wrong == []


def dockerfile():
    return (ROOT / "Dockerfile").read_text()
