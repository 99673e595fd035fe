"""Docker tasks in the Docker containerizer, on a real master and agent (cgroup v1)."""

import json
import subprocess
from pathlib import Path

import pytest
from cluster import Cluster, Message, Scheduler, free_port, inspected, wait_for

QUICK = {"delay_seconds": 0, "interval_seconds": 0.2, "grace_period_seconds": 0, "timeout_seconds": 10}
# An HTTP server out of what is in a minimal image: 200 for /inside, 404 for the rest.
SERVE = """exec perl -MIO::Socket::INET -e '
my $server = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => {port}, Listen => 9, ReuseAddr => 1) or die;
while (my $connection = $server->accept) {{
    sysread $connection, my $request, 4096;
    my $status = $request =~ m(^GET /inside) ? "200 OK" : "404 Not Found";
    syswrite $connection, "HTTP/1.0 $status\\r\\n\\r\\n";
}}
'"""


def docker(*arguments: str) -> str:
    """The output of a docker command."""
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout


def container(image: str, command: str, network: str = "BRIDGE", **fields: object) -> Message:
    return {
        "command": {"value": command},
        "container": {"type": "DOCKER", "docker": {"image": image, "network": network, **fields}},
    }


def health_check(kind: str, part: Message, **fields: object) -> Message:
    return {"health_check": {"type": kind, kind.lower(): part, **QUICK, **fields}}


def test_a_container_that_exits_with_0_is_finished(docker_scheduler: Scheduler, container_image: str) -> None:
    task = docker_scheduler.launch(container(container_image, "exit 0"))
    docker_scheduler.wait(task, "TASK_FINISHED")


def test_the_status_tells_the_address_of_the_container(docker_scheduler: Scheduler, container_image: str) -> None:
    task = docker_scheduler.launch(container(container_image, "exec sleep 600"))
    status = docker_scheduler.wait(task, "TASK_RUNNING")
    address = inspected(status)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    assert status["container_status"]["network_infos"][0]["ip_addresses"][0]["ip_address"] == address


def test_the_container_has_the_limits_of_the_task(docker_scheduler: Scheduler, container_image: str) -> None:
    task = docker_scheduler.launch(container(container_image, "exec sleep 600"), cpus=0.25, mem=80)
    config = inspected(docker_scheduler.wait(task, "TASK_RUNNING"))["HostConfig"]
    assert config["Memory"] == 80 * 2**20
    assert config["CpuShares"] == 0.25 * 1024
    assert config["CpuQuota"] == 25_000


def test_limits_above_the_requests_are_the_containers(docker_scheduler: Scheduler, container_image: str) -> None:
    limits = {"mem": {"value": 256}, "cpus": {"value": 1.5}}
    task = docker_scheduler.launch({**container(container_image, "exec sleep 600"), "limits": limits})
    config = inspected(docker_scheduler.wait(task, "TASK_RUNNING"))["HostConfig"]
    assert config["Memory"] == 256 * 2**20
    assert config["CpuQuota"] == 150_000


def test_a_task_over_its_memory_limit_is_killed_and_reported(docker_scheduler: Scheduler, container_image: str) -> None:
    grow = "exec perl -e 'push @data, chr(1) x 2**20 while @data < 4096'"
    task = docker_scheduler.launch(container(container_image, grow), mem=64)
    status = docker_scheduler.wait(task, "TASK_FAILED", reason="REASON_CONTAINER_LIMITATION_MEMORY")
    assert "memory limit of 64 MiB exceeded" in status["message"]


def test_a_killed_container_is_stopped(docker_scheduler: Scheduler, container_image: str) -> None:
    task = docker_scheduler.launch(container(container_image, "trap 'exit 0' TERM; while true; do sleep 0.1; done"))
    name = inspected(docker_scheduler.wait(task, "TASK_RUNNING"))["Name"]
    docker_scheduler.kill(task, grace=20)
    docker_scheduler.wait(task, "TASK_KILLED")
    assert not docker("ps", "--quiet", "--filter", f"name={name}")


def test_a_container_may_end_by_itself_when_it_is_killed(
    docker_scheduler: Scheduler, container_image: str, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    task = container(container_image, "trap 'exit 9' TERM; touch /shared/ready; while true; do sleep 0.1; done")
    task["container"]["volumes"] = [{"host_path": str(tmp_path), "container_path": "/shared", "mode": "RW"}]
    launched = docker_scheduler.launch(task)
    docker_scheduler.wait(launched, "TASK_RUNNING")
    wait_for("the container handles SIGTERM", ready.exists)
    docker_scheduler.kill(launched)
    assert docker_scheduler.wait(launched, "TASK_KILLED")["message"] == "Container exited with status 9"


def test_a_secret_of_the_environment_is_no_command_line(docker_scheduler: Scheduler, container_image: str) -> None:
    variables = [{"name": "SECRET", "value": "in-no-command-line"}, {"name": "LINES", "value": "one\ntwo"}]
    task = container(container_image, 'test "$LINES" = "$(printf "one\\ntwo")" && exec sleep 600')
    task["command"]["environment"] = {"variables": variables}
    status = docker_scheduler.wait(docker_scheduler.launch(task), "TASK_RUNNING")
    assert "SECRET=in-no-command-line" in inspected(status)["Config"]["Env"]
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(process.read_bytes())
        except OSError:
            continue  # It has ended.
    assert not [line for line in lines if b"in-no-command-line" in line]


@pytest.mark.parametrize("network", ["BRIDGE", "HOST"])
@pytest.mark.parametrize("kind", ["COMMAND", "HTTP", "TCP"])
def test_a_passing_health_check_makes_a_task_healthy(
    docker_scheduler: Scheduler, container_image: str, kind: str, network: str
) -> None:
    port = free_port()
    # Only inside of the container is there such a file, and, on the bridge, such a port.
    part: Message = {"port": port, "path": "/inside"} if kind != "COMMAND" else {"value": "test -e /inside"}
    check = health_check(kind, part, grace_period_seconds=30)
    command = "touch /inside; " + SERVE.format(port=port)
    task = docker_scheduler.launch({**container(container_image, command, network), **check})
    docker_scheduler.wait(task, "TASK_RUNNING", healthy=True, reason="REASON_TASK_HEALTH_CHECK_STATUS_UPDATED")
    assert not [u for u in docker_scheduler.updates(task) if u.get("healthy") is False]


@pytest.mark.parametrize("kind", ["COMMAND", "HTTP", "TCP"])
def test_a_task_is_killed_after_so_many_failed_health_checks(
    docker_scheduler: Scheduler, container_image: str, kind: str
) -> None:
    part: Message = {"port": free_port()} if kind != "COMMAND" else {"value": "exit 1"}
    check = health_check(kind, part, consecutive_failures=2)
    policy = {"kill_policy": {"grace_period": {"nanoseconds": 10**9}}}
    task = docker_scheduler.launch({**container(container_image, "exec sleep 600"), **check, **policy})
    name = inspected(docker_scheduler.wait(task, "TASK_RUNNING"))["Name"]
    assert docker_scheduler.wait(task, "TASK_KILLED")["healthy"] is False
    unhealthy = [u for u in docker_scheduler.updates(task) if u.get("healthy") is False]
    assert [u["state"] for u in unhealthy] == ["TASK_RUNNING", "TASK_RUNNING", "TASK_KILLED"]
    assert not docker("ps", "--quiet", "--filter", f"name={name}")


def test_a_check_reports_its_status(docker_scheduler: Scheduler, container_image: str) -> None:
    port = free_port()
    check = {"type": "HTTP", "http": {"port": port, "path": "/nothing"}, "delay_seconds": 0, "interval_seconds": 0.2}
    task = docker_scheduler.launch({**container(container_image, SERVE.format(port=port)), "check": check})
    docker_scheduler.wait(
        task,
        "TASK_RUNNING",
        reason="REASON_TASK_CHECK_STATUS_UPDATED",
        check_status={"type": "HTTP", "http": {"status_code": 404}},
    )


def test_a_task_outlives_the_agent(
    docker_scheduler: Scheduler, docker_cluster: Cluster, container_image: str, tmp_path: Path
) -> None:
    # A check that runs while the container ends fails; one such failure must not make the end a kill.
    check = health_check("COMMAND", {"value": "test ! -e /shared/bad"}, consecutive_failures=10)
    task = container(container_image, "while ! test -e /shared/end; do sleep 0.1; done")
    task["container"]["volumes"] = [{"host_path": str(tmp_path), "container_path": "/shared", "mode": "RO"}]
    launched = docker_scheduler.launch({**task, **check})
    container_id = inspected(docker_scheduler.wait(launched, "TASK_RUNNING"))["Id"]
    docker_scheduler.wait(launched, "TASK_RUNNING", healthy=True)
    docker_cluster.restart_agent()
    assert docker_cluster.wait_for_agent() == docker_cluster.agent_id
    assert json.loads(docker("inspect", container_id))[0]["State"]["Running"]
    (tmp_path / "end").touch()
    docker_scheduler.wait(launched, "TASK_FINISHED")


def test_a_task_that_ends_while_the_agent_is_down_is_reported(
    docker_scheduler: Scheduler, docker_cluster: Cluster, container_image: str, tmp_path: Path
) -> None:
    task = container(container_image, "while ! test -e /shared/end; do sleep 0.1; done; exit 3")
    task["container"]["volumes"] = [{"host_path": str(tmp_path), "container_path": "/shared", "mode": "RO"}]
    launched = docker_scheduler.launch(task)
    container_id = inspected(docker_scheduler.wait(launched, "TASK_RUNNING"))["Id"]
    docker_cluster.agent.kill()
    (tmp_path / "end").touch()

    def ended() -> bool:
        return not json.loads(docker("inspect", container_id))[0]["State"]["Running"]

    wait_for("the container ends", ended)
    docker_cluster.agent.start()
    docker_scheduler.wait(launched, "TASK_FAILED", message="Container exited with status 3")
