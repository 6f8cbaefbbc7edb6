"""What the chart tells the programs is what they take, and what it takes from them: ports, drains, defaults."""

import os
import tomllib

import pytest

from chart import EVERYTHING, NEEDED, PRESETS, RELEASE, SERVICES, SECRETS, all_of, containers, merged, one, render
from conftest import ROOT, program, run

NAME = f"{RELEASE}-postrider"


def environment(container, ip):
    """What Kubernetes would put there."""
    secrets = dict(zip(["postgres-url", "redis-url", "link-secret", "auth-secret"], SECRETS.values(), strict=True))
    found = {"POD_IP": ip, "POD_NAME": "pod"}
    for entry in container.get("env", []):
        source = entry.get("valueFrom", {})
        if "secretKeyRef" in source:
            found[entry["name"]] = secrets[source["secretKeyRef"]["key"]]
        elif "fieldRef" not in source:
            text = entry["value"]
            for name, value in list(found.items()):
                text = text.replace(f"$({name})", value)
            found[entry["name"]] = text
    return found


def asked(objects, path, ip="10.1.2.3"):
    """Each container that has settings, with the settings as its own program would print them."""
    for thing, spec, container in containers(objects):
        if "settings" not in [mount["name"] for mount in container["volumeMounts"]]:
            continue
        (volume,) = [volume for volume in spec["volumes"] if volume["name"] == "settings"]
        text = one(objects, "ConfigMap", volume["configMap"]["name"])["data"]["postrider.toml"]
        file = path / f"{container['name']}.toml"
        file.write_text(text)
        variables = {**environment(container, ip), "POSTRIDER_CONFIG": str(file), "PATH": os.environ["PATH"]}
        yield thing, spec, container, variables


@pytest.mark.parametrize("preset", [None, *PRESETS])
def test_the_programs_take_what_is_rendered(preset, tmp_path):
    for _, _, container, variables in asked(render(EVERYTHING, preset=preset), tmp_path):
        checked = run(program(), "config", "check", env=variables, check=False)
        assert checked.returncode == 0, f"{container['name']}: {checked.stdout}{checked.stderr}"
        if container["name"] in SERVICES:
            run(program(f"postrider-{container['name']}"), "--check-config", env=variables)


def test_ports_are_those_that_are_listened_at(tmp_path):
    for layer, ip, any_address in [({}, "10.1.2.3", "0.0.0.0"), ({"network": {"ipv6": True}}, "fd00::7", "[::]")]:
        seen = []
        for thing, _, container, variables in asked(render(EVERYTHING, layer), tmp_path, ip):
            if thing["kind"] != "Deployment":
                continue
            service = container["name"]
            seen.append(service)
            shown = tomllib.loads(run(program(f"postrider-{service}"), "--print-config", env=variables).stdout)
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            assert shown["admin"]["listen"] == f"{any_address}:{ports['admin']}"
            if "http" in ports:
                assert shown[service]["listen"] == f"{any_address}:{ports['http']}"
            if "link" in ports:
                link = shown[service]["link"]
                assert link["listen"] == f"{any_address}:{ports['link']}"
                assert link["advertise"] == (f"[{ip}]" if ":" in ip else ip) + f":{ports['link']}"
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                path = "/readyz" if probe == "readinessProbe" else "/livez"
                assert container[probe]["httpGet"] == {"path": path, "port": "admin"}
        assert sorted(seen) == sorted(SERVICES)


def test_pods_are_given_the_time_that_their_settings_take(tmp_path):
    slow = {
        "config": {
            "receiver": {"http": {"drain_ms": 20_000}},
            "distributor": {"leave": {"limit_ms": 60_500}, "http": {"announce_ms": 3000}},
            "kafka": {"drain_timeout_ms": 25_000},
        }
    }
    for layer in ({}, slow):
        for thing, spec, container, variables in asked(render(EVERYTHING, layer), tmp_path):
            if thing["kind"] != "Deployment":
                continue
            service = container["name"]
            shown = tomllib.loads(run(program(f"postrider-{service}"), "--print-config", env=variables).stdout)
            own = shown[service]
            least = own.get("drain_ms", 0)
            if "http" in own:
                least = own["http"]["announce_ms"] + own["http"]["drain_ms"] + own.get("leave", {}).get("limit_ms", 0)
            pre_stop = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
            assert (service in ("receiver", "distributor")) == (pre_stop > 0)
            grace = spec["terminationGracePeriodSeconds"]
            assert grace >= pre_stop + least / 1000 + 5, f"{service} has {grace}"
            if service in ("director", "executor"):
                assert grace >= shown["kafka"]["drain_timeout_ms"] / 1000 + 5
    stated = render({"receiver": {"terminationGracePeriodSeconds": 77}})
    pod = one(stated, "Deployment", f"{NAME}-receiver")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 77


def test_the_executor_keeps_its_modules_where_it_may_write(tmp_path):
    for thing, spec, container, variables in asked(render(), tmp_path):
        if thing["kind"] == "Deployment" and container["name"] == "executor":
            shown = tomllib.loads(run(program("postrider-executor"), "--print-config", env=variables).stdout)
            modules = shown["executor"]["sandbox"]["modules"]
            (mount,) = [mount for mount in container["volumeMounts"] if not mount.get("readOnly")]
            # A volume's own folder is everybody's: the executor wants one that is its alone.
            assert modules["directory"] == mount["mountPath"]
            (before,) = spec["initContainers"]
            (whole,) = before["volumeMounts"]
            assert before["command"] == ["mkdir", "-p", "-m", "0700", f"{whole['mountPath']}/{mount['subPath']}"]
            assert whole["name"] == mount["name"]
            (volume,) = [volume for volume in spec["volumes"] if volume["name"] == mount["name"]]
            assert int(volume["emptyDir"]["sizeLimit"].removesuffix("Mi")) * 1024**2 > modules["directory_bytes"]


def test_the_settings_that_the_chart_knows_are_those_of_the_program():
    checked = run(ROOT / "charts" / "settings", "--check", program(), check=False)
    assert checked.returncode == 0, checked.stderr


def test_public_keys_stand_in_the_settings_and_no_secret_is_asked_for(tmp_path):
    public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n"
    layer = {"config": {"auth": {"algorithm": "EdDSA", "public_key": public}}, "secrets": {"authSecret": ""}}
    objects = render(layer)
    for thing, _, container, variables in asked(objects, tmp_path):
        assert "POSTRIDER_AUTH__SECRET" not in variables
        run(program(), "config", "check", env=variables)
    (secret,) = [secret for secret in all_of(objects, "Secret") if secret["metadata"]["name"] == NAME]
    assert "auth-secret" not in secret["stringData"]
    text = one(objects, "ConfigMap", f"{NAME}-distributor")["data"]["postrider.toml"]
    assert tomllib.loads(text)["auth"]["public_key"] == public


def test_large_numbers_stay_whole(tmp_path):
    large = {"config": {"distributor": {"link": {"batch_bytes": 33_554_432}}, "executor": {"sandbox": {"fuel": 20_000_000_000}}}}
    objects = render(large)
    for service, path, value in [("distributor", ["link", "batch_bytes"], 33_554_432), ("executor", ["sandbox", "fuel"], 20_000_000_000)]:
        table = tomllib.loads(one(objects, "ConfigMap", f"{NAME}-{service}")["data"]["postrider.toml"])[service]
        found = table[path[0]][path[1]]
        assert (type(found), found) == (int, value)
    for _, _, _, variables in asked(objects, tmp_path):
        run(program(), "config", "check", env=variables)


def test_text_of_any_kind_arrives_as_it_is():
    odd = 'a "b" \\ <c> & é\t#{}\n[d]'
    objects = render(merged(NEEDED, {"config": {"auth": {"issuer": odd, "allowed_origins": ["https://a", odd]}}}))
    auth = tomllib.loads(one(objects, "ConfigMap", f"{NAME}-distributor")["data"]["postrider.toml"])["auth"]
    assert (auth["issuer"], auth["allowed_origins"]) == (odd, ["https://a", odd])
