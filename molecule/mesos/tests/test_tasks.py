"""Tasks on the agents: their limits and their health."""

import time

import pytest
import yard
from framework import (
    AT_ONCE,
    CONTAINERIZER,
    Framework,
    Message,
    command_task,
    docker_form,
    docker_task,
    running_container,
    touch,
)

HOST = yard.hosts("mesos_agents")[0]
QUICK = {"delay_seconds": 0, "interval_seconds": 0.2, "timeout_seconds": 5, "consecutive_failures": 2}
PORT = 31999
# Perl, which the base image has: answers 200 to HTTP until there is a file `broken` in the sandbox.
SERVER = f"""
use IO::Socket::INET;
my $server = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => {PORT}, Listen => 9, ReuseAddr => 1) or die;
$server->timeout(0.1);
until (-e "$ENV{{MESOS_SANDBOX}}/broken") {{
    my $connection = $server->accept or next;
    $connection->timeout(1);
    sysread $connection, my $request, 4096;
    syswrite $connection, "HTTP/1.0 200 OK\\r\\n\\r\\n";
}}
close $server;
sleep 600;
"""
SERVE = f"exec perl -e '{SERVER}'"
CHECKS: dict[str, Message] = {
    "COMMAND": {"command": {"value": 'test ! -e "$MESOS_SANDBOX/broken"'}},
    "HTTP": {"http": {"port": PORT, "path": "/"}},
    "TCP": {"tcp": {"port": PORT}},
}


def test_a_docker_task_has_its_memory_and_cpu_limits(framework: Framework, image: str) -> None:
    task = docker_task(docker_form(HOST), image, "while :; do :; done", cpus=0.2, mem=96)
    running = framework.wait(framework.launch(HOST, task), "TASK_RUNNING")
    inspected = running_container(HOST, running)
    config = inspected["HostConfig"]
    assert config["Memory"] == 96 * 2**20
    assert config["CpuQuota"] == 20_000 or config["NanoCpus"] == 200_000_000

    # The kernel's own account of the busy process, in hundredths of seconds.
    def used() -> int:
        fields = yard.node(HOST).check_output("cat /proc/%s/stat", str(inspected["State"]["Pid"])).split()
        return int(fields[13]) + int(fields[14])

    begin, first = time.monotonic(), used()
    yard.wait_for("half a second of CPU time", lambda: used() >= first + 50)
    share = (used() - first) / 100 / (time.monotonic() - begin)
    print(f"a busy loop with 0.2 CPUs had {share:.2f}")
    assert share < 0.24


def test_a_docker_task_over_its_memory_limit_is_killed_and_reported(framework: Framework, image: str) -> None:
    form = docker_form(HOST)
    grow = "exec perl -e 'push @data, chr(1) x 2**20 while @data < 4096'"
    task = framework.launch(HOST, docker_task(form, image, grow, mem=64))
    failed = framework.wait(task, "TASK_FAILED")
    if form == CONTAINERIZER:
        assert failed["reason"] == "REASON_CONTAINER_LIMITATION_MEMORY"
        assert "memory limit of 64 MiB exceeded" in failed["message"]
    else:
        assert "137" in failed["message"]


@pytest.mark.parametrize("kind", CHECKS)
def test_a_docker_task_is_healthy_until_its_check_fails_and_then_it_is_killed(
    framework: Framework, image: str, kind: str
) -> None:
    check: Message = {"health_check": {"type": kind, **CHECKS[kind], **QUICK, "grace_period_seconds": 30}}
    # On the host's network a check finds the port in either form of Docker tasks.
    task = docker_task(docker_form(HOST), image, SERVE, network="host", **check, **AT_ONCE)
    task_id = framework.launch(HOST, task)
    healthy = framework.wait(task_id, "TASK_RUNNING", healthy=True)
    touch(HOST, healthy, "broken")
    framework.wait(task_id, "TASK_RUNNING", healthy=False)
    framework.wait(task_id, "TASK_KILLED", healthy=False)


def test_a_command_task_is_healthy_until_its_check_fails_and_then_it_is_killed(framework: Framework) -> None:
    check: Message = {"health_check": {"type": "HTTP", **CHECKS["HTTP"], **QUICK, "grace_period_seconds": 30}}
    task_id = framework.launch(HOST, command_task(SERVE, **check, **AT_ONCE))
    healthy = framework.wait(task_id, "TASK_RUNNING", healthy=True)
    sandboxes = "find /var/lib/mesos-agent/slaves -type d -path '*/executors/%s/runs/*' -prune"
    container_id = healthy["container_status"]["container_id"]["value"]
    sandbox = next(s for s in yard.node(HOST).check_output(sandboxes, task_id).split() if s.endswith(container_id))
    yard.node(HOST).check_output("touch %s/broken", sandbox)
    framework.wait(task_id, "TASK_KILLED", healthy=False)
