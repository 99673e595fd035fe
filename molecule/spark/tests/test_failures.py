"""A job ends right, whatever is killed while it runs, and with no more cores than its queue has."""

import itertools
import time
from collections.abc import Callable, Iterator

import hdfs_client
import pytest
import spark_client
import yard
from hdfs_client import main_process
from spark_client import AGENTS, GATEWAY, PYSPARK, PYTHON, Program, framework

QUEUE = spark_client.QUEUES["default"]
NUMBERS = range(2400)
# Many small tasks read a file in HDFS and write another, which a second job reads: four seconds at least on four cores.
JOB = """
import socket, sys, time
def halved(lines):
    time.sleep(0.4)
    return [int(line) // 2 for line in lines]
def job(number):
    print("begin", number, flush=True)
    output = FOLDER + "/output-" + str(number)
    sc.textFile(FOLDER + "/numbers", 40).mapPartitions(halved).saveAsTextFile(output)
    total = sc.textFile(output).map(int).sum()
    print("end", number, "right" if total == EXPECTED else total, flush=True)
"""


class Application:
    """A user's shell, in which a test has jobs run, one at a time."""

    def __init__(self, name: str, folder: str) -> None:
        self.name = name
        settings = "--conf spark.cores.max=100"
        self.program = Program(f"{PYSPARK} --name {name} {settings}")
        values = {"FOLDER": folder, "EXPECTED": sum(number // 2 for number in NUMBERS)}
        self.program.send("".join(f"{key} = {value!r}\n" for key, value in values.items()) + f"exec({JOB!r})\n")
        self._numbers = itertools.count(1)

    def begin(self) -> int:
        """Begin a job, and return its number when it runs."""
        number = next(self._numbers)
        self.program.send(f"job({number})\n")
        self.program.wait_for_line(f"^begin {number}$")
        return number

    def runs(self, number: int) -> bool:
        """Whether a job has not ended."""
        return self.program.seconds_to(f"^end {number} ") is None

    def right(self, number: int) -> None:
        """Wait until a job has ended, with the right answer."""
        self.program.wait_for_line(f"^end {number} ")
        assert self.program.seconds_to(f"^end {number} right$") is not None, self.program.finish()


@pytest.fixture(scope="module")
def application(folder: str) -> Iterator[Application]:
    numbers = "".join(f"{number}\n" for number in NUMBERS).encode()
    assert hdfs_client.request("PUT", "CREATE", f"{folder}/numbers", data=numbers, permission="644").ok
    assert hdfs_client.request("PUT", "SETPERMISSION", folder, permission="777").ok
    running = Application(f"test-{folder.rpartition('-')[2]}", folder)
    with running.program:
        yield running


def test_a_job_that_asks_for_more_cores_than_its_queue_has_gets_those_of_the_queue(application: Application) -> None:
    limit = QUEUE["limits"]["cpus"]
    yard.wait_for("the job has the queue's cores", lambda: spark_client.cores(QUEUE["role"]) == limit)
    number = application.begin()
    most = 0.0
    while application.runs(number):
        most = max(most, spark_client.cores(QUEUE["role"]))
    application.right(number)
    assert most == limit


def test_pyspark_runs_the_workers_python_the_same_on_every_agent(application: Application) -> None:
    look = "(socket.gethostname(), sys.executable, sys.version.split()[0])"
    application.program.send(
        f"looks = sc.parallelize(range(40), 40).map(lambda _: (time.sleep(0.1), {look})[1])\n"
        "for seen in sorted(set(looks.collect())): print('python', *seen, flush=True)\n\n"
    )
    for agent in AGENTS:
        application.program.wait_for_line(rf"^python {agent} ")
    version = yard.node(GATEWAY).check_output(f"{PYTHON} --version").split()[1]
    for agent in AGENTS:
        assert application.program.seconds_to(rf"^python {agent} {PYTHON} {version}$") is not None


def test_the_secret_is_on_no_command_line_while_a_job_runs(application: Application) -> None:
    number = application.begin()
    for host in (GATEWAY, *AGENTS):
        lines = yard.node(host).check_output("ps -e -ww -o args")
        assert "org.apache.spark" in lines
        assert yard.secret("mesos_spark") not in lines, host
    assert application.runs(number)
    application.right(number)


def datanode() -> tuple[str, str]:
    return AGENTS[0], "hdfs-datanode"


def active_namenode() -> tuple[str, str]:
    return hdfs_client.active(), "hdfs-namenode"


def zookeeper_leader() -> tuple[str, str]:
    return next(host for host in yard.hosts("zookeeper") if yard.mode(host) == "leader"), "zookeeper"


def leading_mesos_master() -> tuple[str, str]:
    return yard.leading_master(), "mesos-master"


def mesos_agent() -> tuple[str, str]:
    return AGENTS[1], "mesos-agent"


# The agent comes last: it costs the job its executors there, and Spark leaves an agent out after two of them.
@pytest.mark.parametrize("victim", [datanode, active_namenode, zookeeper_leader, leading_mesos_master, mesos_agent])
def test_a_job_ends_right_when_a_service_is_killed_while_it_runs(
    application: Application, victim: Callable[[], tuple[str, str]]
) -> None:
    host, unit = victim()
    before = main_process(host, unit)
    number = application.begin()
    killed = time.monotonic()
    yard.kill_service(host, unit)
    assert application.runs(number)
    yard.wait_for("the service is back", lambda: main_process(host, unit) not in ("0", before))
    application.right(number)
    print(f"job ended {time.monotonic() - killed:.1f} s after {unit} on {host} was killed")
    framework(application.name, lambda known: bool(known["active"]))
    spark_client.settle()


def test_the_application_ends_right_after_all_that(application: Application) -> None:
    application.right(application.begin())
    assert application.program.finish().status == 0
    framework(application.name, spark_client.ended)
    spark_client.application(application.name)
