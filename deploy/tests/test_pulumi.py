"""pulumi/: its own tests, and what only others can judge: the product its settings, Helm its values, CRDs its resources."""

import filecmp
import json
import os
import shutil

import pytest
import yaml
from conftest import ROOT, program, run, tool

PROJECT = ROOT / "pulumi"
# The largest record and the least that a stack can be given.
LIMITS = [{"kafka": {"maxRecordBytes": 16 * 1024 * 1024}}, {"kafka": {"maxRecordBytes": 278_528}}]


@pytest.fixture(scope="session")
def project():
    """The project, with what its lock file says."""
    modules = PROJECT / "node_modules"
    installed = modules / ".of-lock-file.json"
    lock = PROJECT / "package-lock.json"
    if not installed.is_file() or not filecmp.cmp(lock, installed, shallow=False):
        run(tool("npm"), "ci", "--no-audit", "--no-fund", "--ignore-scripts", cwd=PROJECT)
        shutil.copy(lock, installed)
    return PROJECT


@pytest.fixture(scope="session")
def plan(project):
    """What a stack would make and say."""

    def of(given):
        given = given if isinstance(given, str) else json.dumps(given)
        done = run(tool("node"), "--import", "tsx", "test/plan.ts", given, cwd=project)
        return json.loads(done.stdout)

    return of


def checked(text):
    """What `postrider config check` says of an .env file, and nothing else of this machine's settings."""
    own = {key: value for key, value in os.environ.items() if not key.startswith("POSTRIDER_")}
    lines = dict(line.split("=", 1) for line in text.splitlines())
    return run(program(), "config", "check", env={**own, **lines}, check=False)


def test_npm_test(project):
    run(tool("npm"), "test", cwd=project)


def test_the_lock_file_names_no_addresses():
    lock = json.loads((PROJECT / "package-lock.json").read_text())
    named = [name for name, package in lock["packages"].items() if "resolved" in package]
    assert not named
    without = [name for name, package in lock["packages"].items() if name and "integrity" not in package]
    assert not without


@pytest.mark.parametrize("given", ["local", *({"target": "docker", **limit} for limit in LIMITS)])
def test_the_product_takes_the_env_file(plan, given):
    outputs = plan(given)["outputs"]
    for name in ["env", "networkEnv"]:
        found = checked(outputs[name])
        assert found.returncode == 0, found.stdout + found.stderr


def test_the_product_refuses_what_it_does_not_know(plan):
    found = checked(plan("local")["outputs"]["env"] + "POSTRIDER_KAFKA__BROKER=x\n")
    assert found.returncode != 0 and "kafka" in found.stderr


@pytest.mark.parametrize("given", ["production", *({"target": "kubernetes", **limit} for limit in LIMITS)])
def test_the_chart_renders_with_its_values(plan, helm, tmp_path, given):
    values = plan(given)["outputs"]["chartValues"]
    file = tmp_path / "values.yaml"
    file.write_text(values)
    rendered = run(helm, "template", "postrider", ROOT / "charts" / "postrider", "--values", file).stdout
    objects = [thing for thing in yaml.safe_load_all(rendered) if thing]
    secret = yaml.safe_load(values)["secrets"]["existingSecret"]
    assert not [thing["metadata"]["name"] for thing in objects if thing["kind"] == "Secret"]
    assert secret in rendered
    settings = "\n".join(
        text for thing in objects if thing["kind"] == "ConfigMap" for text in (thing.get("data") or {}).values()
    )
    assert f'brokers = "{yaml.safe_load(values)["config"]["kafka"]["brokers"]}"' in settings


def test_every_setting_is_in_the_document(project):
    """docs/PULUMI.md has each setting, with the limits and defaults that the code has."""
    text = (ROOT / "docs" / "PULUMI.md").read_text()
    code = (PROJECT / "src" / "settings.ts").read_text()
    listed = set()
    for line in text.splitlines():
        if line.startswith("| `"):
            listed.add(line.split("`")[1].rsplit(".", 1)[-1])
    import re

    reads = re.findall(r'(?:section|root|targets)\.(?:text|optionalText|neededText|integer|decimal|flag|choice)\(\s*"(\w+)"', code)
    reads += re.findall(r'port\("(\w+)"', code)
    assert len(reads) > 30
    assert set(reads) - listed == set()


# Operators, by the versions of src/charts.ts, and the files of theirs that say what their resources look like.
OPERATORS = {
    "github.com/cloudnative-pg/cloudnative-pg@v1.30.0": ["clusters", "scheduledbackups"],
    "github.com/cloudnative-pg/plugin-barman-cloud@v0.13.0": ["objectstores"],
}


def definitions(folder):
    """Schemas of custom resources by API version and kind, which refuse fields that they do not name."""
    found = {}
    for module, kinds in OPERATORS.items():
        environment = {**os.environ, "GOFLAGS": "-mod=mod"}
        done = run(tool("go"), "mod", "download", "-json", module, cwd=folder, env=environment)
        bases = json.loads(done.stdout)["Dir"]
        for kind in kinds:
            (file,) = (ROOT / bases).glob(f"config/crd/bases/*_{kind}.yaml")
            definition = yaml.safe_load(file.read_text())["spec"]
            for version in definition["versions"]:
                key = (f"{definition['group']}/{version['name']}", definition["names"]["kind"])
                found[key] = strict(version["schema"]["openAPIV3Schema"])
    return found


def strict(schema):
    schema = dict(schema)
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    if "properties" in schema:
        schema["properties"] = {key: strict(value) for key, value in schema["properties"].items()}
        if not schema.get("x-kubernetes-preserve-unknown-fields"):
            schema.setdefault("additionalProperties", False)
    for key in ["items", "additionalProperties"]:
        if isinstance(schema.get(key), dict):
            schema[key] = strict(schema[key])
    return schema


@pytest.mark.long
def test_the_operators_take_the_resources(plan, tmp_path):
    """Against the definitions of the operators' own releases, by the Go module proxy. Strimzi has none there."""
    import jsonschema

    schemas = definitions(tmp_path)
    checked = []
    for made in plan("production")["made"]:
        inputs = made["inputs"]
        schema = schemas.get((inputs.get("apiVersion"), inputs.get("kind")))
        if schema is None:
            continue
        schema = {**schema, "properties": {**schema["properties"], "metadata": {"type": "object"}}}
        jsonschema.Draft7Validator(schema).validate(inputs)
        wrong = {**inputs, "spec": {**inputs["spec"], "noSuchField": 1}}
        assert list(jsonschema.Draft7Validator(schema).iter_errors(wrong))
        checked.append(inputs["kind"])
    assert sorted(checked) == ["Cluster", "ObjectStore", "ScheduledBackup"]
