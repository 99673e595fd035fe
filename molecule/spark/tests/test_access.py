"""Who may do what, with which queue."""

import pytest
import spark_client
import yard
from spark_client import CONTEXT, GATEWAY, QUEUES, USER, Program

# What a user might try, and what Mesos says to it.
ATTEMPTS = {
    "spark.mesos.secret=not-the-secret": "refused authentication",
    "spark.mesos.role=pmml": "Not authorized to register framework  with roles { pmml }",
}


@pytest.fixture(scope="module")
def attempts() -> dict[str, Program]:
    """A job per attempt; all begin at once."""
    path = "/tmp/attempt.py"
    spark_client.write(path, CONTEXT)
    return {
        setting: Program(f"spark-submit --name attempt-{i} --conf {setting} {path}")
        for i, setting in enumerate(ATTEMPTS)
    }


@pytest.mark.parametrize("setting", ATTEMPTS)
def test_mesos_refuses_a_job_that_has_no_right_to_what_it_says(attempts: dict[str, Program], setting: str) -> None:
    result = attempts[setting].finish()
    assert ATTEMPTS[setting] in result.output + result.errors
    assert result.status != 0
    assert not spark_client.frameworks(f"attempt-{list(ATTEMPTS).index(setting)}")


@pytest.mark.parametrize("command", ["spark-submit", "spark-shell", "spark-sql", "pyspark"])
def test_an_unknown_queue_is_refused_by_name(command: str) -> None:
    result = spark_client.run(f"SPARK_QUEUE=nosuchqueue {command}")
    assert result.status == 1
    (line,) = result.errors.splitlines()
    queues = ", ".join(QUEUES)
    assert line == f'SPARK_QUEUE: there is no queue "nosuchqueue". The queues are: {queues}.'


def test_who_is_not_in_a_queues_group_is_told_so_and_cannot_read_its_secret() -> None:
    gateway = yard.node(GATEWAY)
    for queue in QUEUES.values():
        result = gateway.run(f"runuser --user nobody -- env SPARK_QUEUE={queue['name']} spark-submit --version")
        assert result.rc == 1
        assert f'user nobody may not use the queue "{queue["name"]}"' in result.stderr
        assert f"group {queue['group']}" in result.stderr
        secret = f"/etc/spark/secrets/{queue['name']}"
        assert gateway.run(f"runuser --user nobody -- cat {secret}").rc != 0
        assert gateway.run(f"runuser --user {USER} -- test -r {secret}").rc == 0
