"""The 2013 tutorial's own job, by every way to submit one."""

import re
import time

import hdfs_client
import spark_client
import yard
from framework import CONTAINERIZER, docker_form
from spark_client import AGENTS, PYSPARK, QUEUES, Program, framework, tasks

COLD_SECONDS = 40
ANSWER = "1, 2, 3, 4, 5, 6, 7, 8, 9"
SCALA = "sc.parallelize(1 to 10000).filter(_ < 10).collect()\n"
PYTHON = "sc.parallelize(range(1, 10001)).filter(lambda number: number < 10).collect()\n"
APPLICATION = spark_client.CONTEXT + f"print({PYTHON.strip()})\n"


def ran_on_all_agents(name: str, queue: str = "default") -> dict[str, yard.Json]:
    """The ended framework of an application, as its queue has it, with tasks on all agents."""
    ended = framework(name, spark_client.ended)
    assert (ended["role"], ended["principal"]) == (QUEUES[queue]["role"], QUEUES[queue]["principal"])
    assert spark_client.hosts(ended) == set(AGENTS)
    return ended


def test_an_answer_comes_within_40_s_from_executors_that_must_fetch_spark_from_hdfs_first(name: str) -> None:
    for agent in AGENTS:
        yard.node(agent).check_output("find /var/lib/mesos-agent/fetch -type f -delete")
    with Program(f"spark-shell --name {name}", SCALA) as shell:
        seconds = shell.wait_for_line(rf"Array\[Int\] = Array\({ANSWER}\)$")
    print(f"answer of the tutorial's job {seconds:.1f} s after spark-shell was called")
    ended = ran_on_all_agents(name)
    archive = f"hdfs://{yard.variables()['hadoop_nameservice']}/spark/spark-"
    for agent in AGENTS:
        # A second executor of the agent has the archive from the agent's cache.
        folders = spark_client.sandboxes(agent, ended["id"]).values()
        logs = "".join(yard.node(agent).check_output("cat %s/stderr", folder) for folder in folders)
        assert f"Fetching {archive}" in logs, agent
    assert seconds <= COLD_SECONDS


def test_pyspark_gives_the_answer(name: str) -> None:
    result = spark_client.run(f"{PYSPARK} --name {name}", PYTHON)
    assert f"[{ANSWER}]" in result.output, result.errors
    ran_on_all_agents(name)


def test_spark_submit_gives_the_answer_in_client_mode_and_the_history_server_lists_the_application(name: str) -> None:
    spark_client.write(f"/tmp/{name}.py", APPLICATION)
    result = spark_client.run(f"spark-submit --name {name} /tmp/{name}.py")
    assert (result.status, result.output) == (0, f"[{ANSWER}]\n"), result.errors
    ran_on_all_agents(name)
    application = spark_client.application(name)
    events = hdfs_client.ask("GETFILESTATUS", f"/spark/events/{application}")
    assert events["owner"] == spark_client.USER
    (job,) = spark_client.history(f"applications/{application}/jobs")
    assert job["status"] == "SUCCEEDED"


def test_spark_submit_gives_the_answer_in_cluster_mode(name: str, folder: str) -> None:
    path = f"{folder}/{name}.py"
    assert hdfs_client.request("PUT", "CREATE", path, data=APPLICATION.encode(), permission="644").ok
    begin = time.monotonic()
    submitted = spark_client.run(f"spark-submit --deploy-mode cluster --name {name} hdfs://{path}")
    assert submitted.status == 0, submitted.errors
    found = re.search(r"driver-\d+-\d+", submitted.output + submitted.errors)
    assert found, submitted
    yard.wait_for("the driver ends", lambda: spark_client.driver_state(found[0]) == "FINISHED", 120)
    print(f"driver in cluster mode ended {time.monotonic() - begin:.1f} s after spark-submit was called")
    assert "TASK_FINISHED" in spark_client.dispatcher("GET", f"status/{found[0]}")["message"]
    assert spark_client.driver_output(found[0]).splitlines()[-1] == f"[{ANSWER}]"
    assert ran_on_all_agents(name)["user"] == spark_client.USER


def test_executors_are_docker_containers_in_a_queue_with_an_image_where_agents_can_have_them(name: str) -> None:
    containers = {docker_form(agent) for agent in AGENTS} == {CONTAINERIZER}
    queue = "docker" if containers else "default"
    # A shuffle, by which executors read each other's files.
    shuffled = "sorted(sc.parallelize(range(1000), 8).map(lambda n: (n % 10, n)).reduceByKey(max, 8).collect())"
    result = spark_client.run(f"SPARK_QUEUE={queue} {PYSPARK} --name {name}", f"{PYTHON}print({shuffled})\n")
    assert result.output.splitlines()[-2:] == [f"[{ANSWER}]", str([(n, 990 + n) for n in range(10)])], result.errors
    images = {
        task.get("container", {}).get("docker", {}).get("image") for task in tasks(ran_on_all_agents(name, queue))
    }
    assert images == {spark_client.executor_image() if containers else None}
