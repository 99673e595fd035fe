"""Spark's daemons, and what a change of the inventory does to them."""

import json
from typing import Any

import pytest
import spark_client
import yard
from spark_client import AGENTS, DISPATCHER, GATEWAY, HISTORY, QUEUES

UNITS = {"spark-dispatcher": [DISPATCHER], "spark-history-server": [HISTORY], "spark-shuffle": AGENTS}
SERVICES = [(host, unit) for unit, hosts in UNITS.items() for host in hosts]
PLAYBOOK = ("playbooks/spark.yml", "--tags=spark")


def extra(**variables: Any) -> str:
    return f"--extra-vars={json.dumps(variables)}"


@pytest.mark.parametrize(("host", "unit"), SERVICES)
def test_a_service_is_enabled_unprivileged_and_comes_back_by_itself(host: str, unit: str) -> None:
    shown = yard.node(host).check_output(
        "systemctl show %s --property=ActiveState,UnitFileState,User,Restart --value", unit
    )
    assert sorted(shown.split()) == sorted(["active", "enabled", "spark", "always"])
    process = yard.node(host).check_output("systemctl show %s --property=MainPID --value", unit)
    assert yard.node(host).check_output("ps --no-headers -o user:32 %s", process) == "spark"


def test_a_property_of_jobs_restarts_no_daemon_and_a_daemons_restarts_that_daemon_only() -> None:
    before = spark_client.started(UNITS)
    defaults = {**yard.variables()["spark_defaults"], "spark.ui.retainedJobs": 77}
    with yard.restored(*PLAYBOOK):
        yard.play(*PLAYBOOK, extra(spark_defaults=defaults))
        assert spark_client.started(UNITS) == before
        for host in (GATEWAY, *AGENTS):
            for queue in QUEUES:
                properties = yard.node(host).file(f"/etc/spark/queues/{queue}/spark-defaults.conf")
                assert properties.contains("^spark.ui.retainedJobs 77$")
        yard.play(*PLAYBOOK, extra(spark_defaults=defaults, spark_shuffle_properties={"spark.shuffle.io.backLog": 64}))
        after = spark_client.started(UNITS)
        assert {service for service in after if after[service] != before[service]} == {
            ("spark-shuffle", agent) for agent in AGENTS
        }
    assert spark_client.started(UNITS)["spark-dispatcher", DISPATCHER] == before["spark-dispatcher", DISPATCHER]


def test_a_check_finds_nothing_to_change() -> None:
    changes = yard.changes(yard.play("playbooks/spark.yml", "--check"))
    assert {GATEWAY, *AGENTS} <= set(changes)
    assert not any(changes.values())


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("spark_archive_sha256", "0" * 64, ["Artifact spark", "0" * 64]),
        ("spark_namenodes", ["nowhere"], ["nowhere cannot be resolved"]),
        ("spark_dispatcher_secret", "not-the-secret", ["Mesos refuses principal spark-dispatcher"]),
        ("spark_shuffle_heap_mb", 9999999, ["9999999 MiB", "Lower"]),
    ],
)
def test_a_wrong_value_is_refused_and_no_daemon_restarts(variable: str, value: object, named: list[str]) -> None:
    before = spark_client.started(UNITS)
    message = yard.refused(*PLAYBOOK, extra(**{variable: value}))
    assert not [words for words in named if words not in message], message
    assert spark_client.started(UNITS) == before


def test_a_jvm_that_does_not_come_up_fails_the_play_with_the_end_of_its_log() -> None:
    only = (*PLAYBOOK, f"--limit={HISTORY}")
    bad = {"spark.history.fs.logDirectory": "file:///nosuchfolder"}
    with yard.restored(*only):
        message = yard.refused(*only, extra(spark_history_properties=bad, rolling_service_health_seconds=10))
        assert f"spark-history-server on {HISTORY} is not healthy" in message
        assert "FileNotFoundException" in message and "nosuchfolder" in message
