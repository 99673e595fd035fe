"""The dispatcher of drivers in cluster mode, and what it knows after it was killed."""

from collections.abc import Iterator

import hdfs_client
import pytest
import spark_client
import yard
from hdfs_client import main_process
from spark_client import CONTEXT, DISPATCHER, USER, dispatcher, driver_state

APPLICATION = CONTEXT + "import time\n\ntime.sleep(10)\nprint(sc.parallelize(range(10)).sum())\n"


@pytest.fixture(scope="module")
def application(folder: str) -> Iterator[str]:
    """URL of an application that prints 45 after some seconds."""
    path = f"{folder}/application.py"
    assert hdfs_client.request("PUT", "CREATE", path, data=APPLICATION.encode(), permission="644").ok
    yield f"hdfs://{path}"


def submit(url: str, name: str, **properties: str) -> str:
    """Submit an application as spark-submit does, without its JVM, and return the driver's id."""
    answer = dispatcher(
        "POST",
        "create",
        {
            "action": "CreateSubmissionRequest",
            "clientSparkVersion": "3.5.9",
            "appResource": url,
            "mainClass": "",
            "appArgs": [],
            "environmentVariables": {"SPARK_USER": USER},
            "sparkProperties": {"spark.app.name": name, **properties},
        },
    )
    assert answer["success"], answer
    return str(answer["submissionId"])


def test_a_killed_dispatcher_takes_up_its_drivers_again_from_zookeeper(application: str, name: str) -> None:
    running = submit(application, name)
    queued = submit(application, name, **{"spark.driver.memory": "1000g"})
    yard.wait_for("the driver runs", lambda: driver_state(running) == "RUNNING")
    spark_client.framework(name, lambda known: bool(known["tasks"]))
    before = spark_client.framework("Spark Cluster")["id"]
    process = main_process(DISPATCHER, "spark-dispatcher")
    yard.kill_service(DISPATCHER, "spark-dispatcher")
    yard.wait_for("the dispatcher is back", lambda: main_process(DISPATCHER, "spark-dispatcher") not in ("0", process))
    assert yard.wait_for("the dispatcher answers", lambda: driver_state(running)) in ("RUNNING", "FINISHED")
    assert driver_state(queued) == "QUEUED"
    assert dispatcher("POST", f"kill/{queued}")["success"]
    yard.wait_for("the driver ends", lambda: driver_state(running) == "FINISHED", 120)
    assert "TASK_FINISHED" in dispatcher("GET", f"status/{running}")["message"]
    assert spark_client.framework("Spark Cluster")["id"] == before
    assert spark_client.driver_output(running).splitlines()[-1] == "45"
