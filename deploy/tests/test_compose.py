"""docker-compose.yml: what it comes to, for each profile."""

import re
from pathlib import Path

import pytest
import yaml

from composition import COMPOSE, ENGINES, EXAMPLE, JOBS, OBSERVABILITY, OURS, env_file, everything, example, load
from conftest import ROOT, program, run, tool

# Images with nothing in them that could ask the program how it is. Prometheus scrapes the first; Grafana shows the others.
WITHOUT_A_SHELL = {"collector", "jaeger", "loki"}


@pytest.mark.parametrize("profiles", [(), ("cli",), ("observability",), ("observability", "cli")], ids="-".join)
def test_each_profile_has_its_services(profiles):
    expected = {*OURS, *JOBS, *ENGINES}
    expected |= set(OBSERVABILITY) if "observability" in profiles else set()
    expected |= {"cli"} if "cli" in profiles else set()
    assert set(load(profiles)["services"]) == expected


def test_the_engines_can_be_replaced_by_local_ones():
    services = load(files=(COMPOSE, ROOT / "deploy" / "compose" / "local-engines.yml"))["services"]
    assert {name for name, service in services.items() if service["image"].startswith("postrider-local/")} == set(ENGINES)


def test_without_an_env_file_it_names_the_secrets_and_has_none(tmp_path):
    (tmp_path / ".env").write_text("")
    result = load(env_file=tmp_path / ".env", check=False)
    assert result.returncode != 0
    for name, value in example().items():
        if value and value.startswith("example-"):
            assert name in result.stderr, f"{name} has a default in docker-compose.yml"


def test_nothing_is_published_but_on_this_machine():
    for name, service in everything().items():
        published = service.get("ports", [])
        assert all(port["host_ip"] == "127.0.0.1" for port in published), f"{name}: {published}"
        assert not (published and name in ENGINES), f"{name} is published"


def test_with_another_address_only_receiver_and_distributor_are_published_there(tmp_path):
    services = everything(env_file(tmp_path / ".env", BIND="0.0.0.0"))
    open_to_others = {
        name for name, service in services.items() for port in service.get("ports", []) if port["host_ip"] == "0.0.0.0"
    }
    assert open_to_others == {"receiver", "distributor"}


def test_everything_that_stays_has_a_health_check_or_is_known_to_have_none():
    for name, service in everything().items():
        if name in JOBS or name == "cli":
            assert service.get("restart") in (None, "no"), f"{name} is a job"
        else:
            assert ("healthcheck" in service) != (name in WITHOUT_A_SHELL), name
            assert service["restart"] == "unless-stopped", name


def test_what_must_be_there_first_is_waited_for():
    services = everything()

    def waits(name):
        return {other: how["condition"] for other, how in services[name].get("depends_on", {}).items()}

    completed, healthy = "service_completed_successfully", "service_healthy"
    for engine in ENGINES:
        assert waits(engine) == {"check": completed}
    assert waits("topics") == {"kafka": healthy}
    assert waits("migrate") == {"postgres": healthy}
    for name in OURS:
        assert waits(name).items() >= {"topics": completed, "migrate": completed}.items()
    # Who needs the registry waits for it.
    for name in OURS:
        assert (waits(name).get("valkey") == healthy) == ("POSTRIDER_REDIS__URL" in services[name]["environment"]), name


def test_our_containers_may_write_nowhere_and_gain_nothing():
    services = everything()
    for name in (*OURS, *JOBS, "cli"):
        service = services[name]
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert "user" not in service, f"{name}: the image's user is not root, and should be taken"
    written = [volume["target"] for volume in services["executor"]["volumes"]]
    directory = settings()["executor"]["sandbox"]["modules"]["directory"]
    assert written == ["/var/lib/postrider"] and directory.startswith(f"{written[0]}/")
    # One place for all would be shared by several executors, which it may not be.
    assert not services["executor"]["volumes"][0].get("source")


def test_each_service_gets_the_secrets_it_needs_and_no_others():
    services = everything()
    variables = example()
    secrets = {name: value for name, value in variables.items() if value and value.startswith("example-")}

    def has(name):
        text = " ".join(str(value) for value in (services[name].get("environment") or {}).values())
        return {secret for secret, value in secrets.items() if value in text}

    database, registry = "POSTGRES_PASSWORD", "VALKEY_PASSWORD"
    link, token, grafana = "POSTRIDER_DISTRIBUTOR__LINK__SECRET", "POSTRIDER_AUTH__SECRET", "GRAFANA_PASSWORD"
    expected = {
        "check": set(secrets),
        "cli": {database, registry, link, token},
        "topics": {database},
        "migrate": {database},
        "receiver": {database},
        "director": {database, registry, link},
        "distributor": {database, registry, link, token},
        "executor": {database},
        "postgres": {database},
        "valkey": {registry},
        "grafana": {grafana},
    }
    assert {name: has(name) for name in services if has(name)} == expected
    for name, service in services.items():
        text = " ".join([*(service.get("command") or []), *(service.get("entrypoint") or [])])
        assert not any(value in text for value in secrets.values()), f"{name} shows a secret on its command line"


def test_each_service_has_time_to_leave_in_order():
    known = config_print()
    distributor = known["distributor"]
    longest = distributor["http"]["announce_ms"] + distributor["leave"]["limit_ms"] + distributor["http"]["drain_ms"]
    services = everything()
    for name in OURS:
        assert seconds(services[name]["stop_grace_period"]) * 1000 > longest + 5000, name


def test_every_file_that_is_mounted_is_there():
    project = load(("observability", "cli"))
    paths = [Path(config["file"]) for config in project["configs"].values()]
    for service in project["services"].values():
        paths += [Path(volume["source"]) for volume in service.get("volumes", []) if volume["type"] == "bind"]
    ours = [path for path in paths if path.is_relative_to(ROOT)]
    assert len(ours) >= 9
    assert [str(path) for path in ours if not path.exists()] == []
    assert [str(path) for path in paths if not path.is_relative_to(ROOT)] == ["/var/lib/docker/containers"]


def test_the_variables_are_those_of_the_example():
    text = re.sub(r"\$\$\S*", "", COMPOSE.read_text())
    used = set(re.findall(r"\$\{([A-Z][A-Z0-9_]*)", text))
    # Those that are handed through as they are, and the one that `docker compose` itself reads.
    used |= {"POSTRIDER_API_KEY", "POSTRIDER_TOKEN"}
    assert set(example()) == used


def test_the_services_accept_what_they_are_given():
    """Each program checks the very environment of its container, with the settings file that is mounted there."""
    services = everything()
    for name in OURS:
        result = run(program(f"postrider-{name}"), "--check-config", env=inside(services[name], name), check=False)
        assert result.returncode == 0, f"{name}: {result.stderr}"
    for name in ("check", "cli"):
        result = run(program(), "config", "check", env=inside(services[name], name), check=False)
        assert result.returncode == 0, f"{name}: {result.stderr}"


def test_every_setting_of_the_example_is_one_of_postrider():
    environment = inside(everything()["check"], "check")
    for name, value in example().items():
        if name.startswith("POSTRIDER_") and "__" in name:
            assert name in environment, f"{name} reaches no service"
            known = run(program(), "config", "check", env={**environment, name: value}, check=False)
            assert known.returncode == 0, known.stderr
            misspelt = run(program(), "config", "check", env={**environment, f"{name}X": value}, check=False)
            assert misspelt.returncode == 2, f"the check does not look at {name}"
    help_of = run(program(), "send", "--help").stdout + run(program(), "listen", "--help").stdout
    for name in ("POSTRIDER_API_KEY", "POSTRIDER_TOKEN", "POSTRIDER_URL", "POSTRIDER_DISTRIBUTOR_URL"):
        assert f"env: {name}" in help_of, name


def test_prometheus_scrapes_each_service_where_it_listens(tmp_path):
    file = ROOT / "deploy" / "observability" / "prometheus.yml"
    jobs = {job["job_name"]: job for job in yaml.safe_load(file.read_text())["scrape_configs"]}
    port = int(settings()["admin"]["listen"].rsplit(":", 1)[1])
    for name in OURS:
        [found] = jobs[f"postrider-{name}"]["dns_sd_configs"]
        assert (found["names"], found["type"], found["port"]) == ([name], "A", port)
    # As it is mounted, with the rules in their place.
    rules = tmp_path / "rules"
    rules.mkdir()
    for volume in everything()["prometheus"]["volumes"]:
        if volume["target"].startswith("/etc/prometheus/rules/"):
            (rules / Path(volume["target"]).name).write_text(Path(volume["source"]).read_text())
    assert {rule.name for rule in rules.iterdir()} == {"alerts.yaml", "recording.yaml"}
    moved = tmp_path / "prometheus.yml"
    moved.write_text(file.read_text().replace("/etc/prometheus/rules", str(rules)))
    assert "2 rule files found" in run(tool("promtool"), "check", "config", moved).stdout


def test_health_is_asked_of_the_program_itself():
    for name in OURS:
        assert everything()[name]["healthcheck"]["test"] == ["CMD", f"postrider-{name}", "--probe", "readyz"]


def test_the_collector_takes_traces_where_services_send_them_and_logs_that_docker_writes():
    services = everything()
    collector = yaml.safe_load((ROOT / "deploy" / "observability" / "collector.yaml").read_text())
    port = collector["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"].rsplit(":", 1)[1]
    on = load(("observability",))["services"]
    for name in OURS:
        assert on[name]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"] == f"http://collector:{port}"
        assert load()["services"][name]["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"] == ""
    for name, service in services.items():
        assert service["logging"]["driver"] == "json-file", name
        assert "com.docker.compose.service" in service["logging"]["options"]["labels"], name
    [read] = collector["receivers"]["file_log"]["include"]
    mounted = {volume["target"] for volume in services["collector"]["volumes"]}
    assert str(Path(read).parents[1]) in mounted
    used = {part for pipeline in collector["service"]["pipelines"].values() for parts in pipeline.values() for part in parts}
    made = {name for kind in ("receivers", "processors", "exporters") for name in collector[kind]}
    assert used == made


def test_grafana_has_the_sources_that_its_dashboards_ask():
    folder = ROOT / "deploy" / "observability" / "grafana"
    sources = yaml.safe_load((folder / "datasources.yaml").read_text())["datasources"]
    services = everything()
    assert {source["type"] for source in sources} == {"prometheus", "loki", "jaeger"}
    for source in sources:
        host = re.match(r"http://([a-z]+):\d+$", source["url"]).group(1)
        assert host in services and "observability" in services[host]["profiles"]
    [provider] = yaml.safe_load((folder / "dashboards.yaml").read_text())["providers"]
    mounted = {volume["target"]: volume["source"] for volume in services["grafana"]["volumes"]}
    assert list(Path(mounted[provider["options"]["path"]]).glob("*.json"))


def settings():
    """deploy/compose/postrider.toml."""
    return load_toml((ROOT / "deploy" / "compose" / "postrider.toml").read_text())


def config_print():
    return load_toml(run(program(), "config", "print", env={}).stdout)


def load_toml(text):
    import tomllib

    return tomllib.loads(text)


def seconds(text):
    minutes, rest = re.match(r"(?:(\d+)m)?(?:(\d+)s)?$", text).groups()
    return int(minutes or 0) * 60 + int(rest or 0)


def inside(service, name):
    """The environment of a container, with the settings file where it is on this side."""
    environment = {key: value for key, value in service["environment"].items() if value is not None}
    environment["POSTRIDER_CONFIG"] = str(ROOT / "deploy" / "compose" / "postrider.toml")
    if name == "distributor":
        # As its entrypoint sets it, which knows the container's name.
        assert "POSTRIDER_DISTRIBUTOR__LINK__ADVERTISE" in service["entrypoint"][-1]
        environment["POSTRIDER_DISTRIBUTOR__LINK__ADVERTISE"] = "0123456789ab:7000"
    return environment
