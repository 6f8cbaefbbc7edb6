"""A real Prometheus with our rules watches a pipeline under load: everything is evaluated, what should have data has, and
nothing fires; then the pipeline ends, and that is noticed."""

import pytest

import driven
import monitor
import named
import promql
import standalone
from driven import OF_KAFKA, VALUES_OF_AN_OUTAGE

RECIPIENTS = ["ws", "sse", "poll"]


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """The pipeline, and who watches it."""
    folder = tmp_path_factory.mktemp("watched")
    with standalone.running(folder, *driven.QUICK) as pipeline:
        # One process under one name, as `postrider standalone` is scraped.
        with monitor.watching(folder, {"postrider": pipeline.admin}) as prometheus:
            driven.drive(pipeline)
            with driven.load(pipeline, RECIPIENTS):
                # Counters that came last have been seen twice.
                seen = "min(count_over_time(postrider_schedules_fired_total[1m])) >= 10"
                standalone.until("all of it was scraped", lambda: prometheus.query(seen))
                yield pipeline, prometheus


def has_nothing_to_say(expression):
    """Whether an expression has nothing to say of a pipeline that is well."""
    selectors, _ = promql.read(expression)
    return any(
        selector.name in OF_KAFKA
        or any((selector.name, label, value) in VALUES_OF_AN_OUTAGE for label, _, value in selector.matchers)
        for selector in selectors
    )


def test_every_expression_is_evaluated_and_has_data(watched):
    _, prometheus = watched
    empty = []
    expressions = [*named.rules(), *named.dashboards()]
    for one in expressions:
        alert = one.where.startswith("alerts.yaml")
        if (
            not prometheus.query(one.text)
            and not alert
            and not has_nothing_to_say(one.text)
            and "ALERTS" not in one.text
        ):
            empty.append(f"{one.where}: {one.text}")
    assert len(expressions) > 150
    assert not empty, "\n".join(empty)


def test_every_series_that_an_alert_selects_is_there(watched):
    _, prometheus = watched
    for one in named.rules():
        for selector in promql.read(one.text)[0]:
            asked = ",".join(f'{label}{operator}"{value}"' for label, operator, value in selector.matchers)
            if not has_nothing_to_say(f"{selector.name}{{{asked}}}"):
                assert prometheus.query(f"{selector.name}{{{asked}}}"), (one.where, selector)


def test_every_query_of_the_runbooks_is_evaluated(watched):
    _, prometheus = watched
    for one in named.pages():
        prometheus.query(one.text)


def test_the_rules_are_well_and_nothing_fires(watched):
    _, prometheus = watched
    rules = prometheus.rules()
    assert {rule["health"] for rule in rules} == {"ok"}
    alerts = [rule for rule in rules if rule["type"] == "alerting"]
    assert len(alerts) == len([one for one in named.rules() if one.where.startswith("alerts.yaml")])
    states = {(rule["name"], rule["state"]) for rule in alerts}
    assert not [name for name, state in states if state != "inactive"]


def test_what_is_accepted_is_accounted_for(watched):
    _, prometheus = watched
    value = {one["metric"].get("end"): float(one["value"][1]) for one in prometheus.query(
        "sum by (end) (postrider_records_ended_total)")}  # fmt: skip
    assert value["acknowledged"] > 0 and value["parked"] > 0
    (unaccounted,) = prometheus.query("sum(postrider_unaccounted)")
    assert float(unaccounted["value"][1]) == 0


def test_a_pipeline_that_ends_is_noticed(tmp_path):
    pending = 'ALERTS{alertname="PostriderDown",alertstate="pending",severity="critical"}'
    with standalone.running(tmp_path) as pipeline:
        with monitor.watching(tmp_path, {"postrider": pipeline.admin}) as prometheus:
            standalone.until("it is scraped", lambda: prometheus.query("postrider_build_info"))
            standalone.until("nothing is missed", lambda: not prometheus.query(pending))
            pipeline.stop()
            services = {"receiver", "director", "distributor", "executor"}

            def missed():
                return {one["metric"]["service"] for one in prometheus.query(pending)}

            standalone.until("all four are missed", lambda: missed() == services)
            assert prometheus.query('ALERTS{alertname="PostriderDown",severity="warning",job="postrider"}')
