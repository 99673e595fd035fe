"""Command tasks in the Mesos containerizer, on a real master and agent."""

import sys
from pathlib import Path

import pytest
from cluster import Cluster, Message, Scheduler, free_port, wait_for

QUICK = {"delay_seconds": 0, "interval_seconds": 0.2, "grace_period_seconds": 0, "timeout_seconds": 10}
HEALTH = "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED"


def shell(command: str) -> Message:
    return {"command": {"value": command}}


def http_server(port: int) -> Message:
    """A task that serves an empty directory by HTTP."""
    return shell(f"exec {sys.executable} -m http.server --bind 127.0.0.1 --directory $(mktemp -d) {port}")


def health_check(kind: str, part: Message, **fields: object) -> Message:
    return {"health_check": {"type": kind, kind.lower(): part, **QUICK, **fields}}


def test_a_task_that_exits_with_0_is_finished(command_scheduler: Scheduler) -> None:
    task = command_scheduler.launch(shell("exit 0"))
    command_scheduler.wait(task, "TASK_FINISHED")
    assert [u["state"] for u in command_scheduler.updates(task)] == ["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"]


def test_a_task_that_exits_with_another_status_has_failed(command_scheduler: Scheduler) -> None:
    task = command_scheduler.launch(shell("exit 3"))
    assert command_scheduler.wait(task, "TASK_FAILED")["message"] == "Command exited with status 3"


def test_a_task_has_its_environment_and_its_sandbox(command_scheduler: Scheduler, command_cluster: Cluster) -> None:
    variables = [{"name": "GREETING", "value": "hello world"}]
    command = {"value": 'echo "$GREETING" > "$MESOS_SANDBOX/out"', "environment": {"variables": variables}}
    task = command_scheduler.launch({"command": command})
    command_scheduler.wait(task, "TASK_FINISHED")
    sandboxes = (command_cluster.directory / "agent").glob(f"slaves/*/frameworks/*/executors/{task}/runs/latest")
    assert [(s / "out").read_text() for s in sandboxes] == ["hello world\n"]


def test_the_environment_of_a_task_is_no_command_line(command_scheduler: Scheduler) -> None:
    variables = [{"name": "SECRET", "value": "in-no-command-line"}]
    command = {"value": "sleep 600", "environment": {"variables": variables}}
    task = command_scheduler.launch({"command": command})
    command_scheduler.wait(task, "TASK_RUNNING")
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(process.read_bytes())
        except OSError:
            continue  # It has ended.
    assert not [line for line in lines if b"in-no-command-line" in line]


def test_a_killed_task_is_told_to_end_and_reports_it(command_scheduler: Scheduler) -> None:
    task = command_scheduler.launch(shell("exec sleep 600"))
    command_scheduler.wait(task, "TASK_RUNNING")
    command_scheduler.kill(task)
    status = command_scheduler.wait(task, "TASK_KILLED")
    assert status["message"] == "Command terminated with signal 15"
    assert [u["state"] for u in command_scheduler.updates(task)][-2:] == ["TASK_KILLING", "TASK_KILLED"]


def test_a_task_that_ignores_sigterm_is_killed_after_its_grace_period(
    command_scheduler: Scheduler, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    task = command_scheduler.launch(shell(f"trap '' TERM; touch {ready}; while true; do sleep 0.1; done"))
    wait_for("the task ignores SIGTERM", ready.exists)
    command_scheduler.kill(task, grace=0.5)
    assert command_scheduler.wait(task, "TASK_KILLED")["message"] == "Command terminated with signal 9"


def test_a_task_that_takes_too_long_has_failed(command_scheduler: Scheduler) -> None:
    task = command_scheduler.launch({**shell("sleep 600"), "max_completion_time": {"nanoseconds": 500_000_000}})
    command_scheduler.wait(task, "TASK_FAILED", reason="REASON_MAX_COMPLETION_TIME_REACHED")


@pytest.mark.parametrize("kind", ["COMMAND", "HTTP", "TCP"])
def test_a_passing_health_check_makes_a_task_healthy(command_scheduler: Scheduler, kind: str) -> None:
    port = free_port()
    part = {"value": "test -d $MESOS_SANDBOX"} if kind == "COMMAND" else {"port": port}
    check = health_check(kind, part, grace_period_seconds=30)
    task = command_scheduler.launch({**http_server(port), **check})
    command_scheduler.wait(task, "TASK_RUNNING", healthy=True, reason=HEALTH)
    assert not [u for u in command_scheduler.updates(task) if u.get("healthy") is False]


@pytest.mark.parametrize("kind", ["COMMAND", "HTTP", "TCP"])
def test_a_task_is_killed_after_so_many_failed_health_checks(command_scheduler: Scheduler, kind: str) -> None:
    port = free_port()
    parts: dict[str, Message] = {"COMMAND": {"value": "exit 1"}, "HTTP": {"port": port}, "TCP": {"port": port}}
    check = health_check(kind, parts[kind], consecutive_failures=3)
    task = command_scheduler.launch({**shell("sleep 600"), **check})
    assert command_scheduler.wait(task, "TASK_KILLED")["healthy"] is False
    states = [(u["state"], u.get("healthy")) for u in command_scheduler.updates(task)]
    assert states == [
        ("TASK_STARTING", None),
        ("TASK_RUNNING", None),
        *[("TASK_RUNNING", False)] * 3,
        ("TASK_KILLING", None),
        ("TASK_KILLED", False),
    ]


def test_an_http_status_of_404_is_a_failure(command_scheduler: Scheduler) -> None:
    port = free_port()
    check = health_check("HTTP", {"port": port, "path": "/nothing"}, grace_period_seconds=3, consecutive_failures=2)
    task = command_scheduler.launch({**http_server(port), **check})
    assert command_scheduler.wait(task, "TASK_KILLED")["healthy"] is False


def test_a_health_check_that_hangs_is_a_failure(command_scheduler: Scheduler) -> None:
    check = health_check("COMMAND", {"value": "sleep 600"}, timeout_seconds=0.3, consecutive_failures=2)
    task = command_scheduler.launch({**shell("sleep 600"), **check})
    assert command_scheduler.wait(task, "TASK_KILLED")["healthy"] is False


def test_a_task_that_recovers_is_healthy_again_and_lives(command_scheduler: Scheduler, tmp_path: Path) -> None:
    good = tmp_path / "good"
    good.touch()
    check = health_check("COMMAND", {"value": f"test -e {good}"}, consecutive_failures=1000)
    task = command_scheduler.launch({**shell("sleep 600"), **check})
    command_scheduler.wait(task, "TASK_RUNNING", healthy=True)
    good.unlink()
    command_scheduler.wait(task, "TASK_RUNNING", healthy=False)
    good.touch()
    wait_for("healthy again", lambda: command_scheduler.updates(task)[-1].get("healthy"))


def test_a_check_reports_each_change_of_its_status(command_scheduler: Scheduler, tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.write_text("0")
    check = {"type": "COMMAND", "command": {"command": {"value": f"exit $(cat {code})"}}, **QUICK}
    del check["grace_period_seconds"]
    task = command_scheduler.launch({**shell("sleep 600"), "check": check})
    reason = "REASON_TASK_CHECK_STATUS_UPDATED"
    for number in (0, 7):
        code.write_text(str(number))
        status = {"type": "COMMAND", "command": {"exit_code": number}}
        command_scheduler.wait(task, "TASK_RUNNING", reason=reason, check_status=status)
    first = next(u for u in command_scheduler.updates(task) if u["state"] == "TASK_RUNNING")
    assert first["check_status"] == {"type": "COMMAND", "command": {}}


def test_a_task_and_its_health_check_outlive_the_agent(
    command_scheduler: Scheduler, command_cluster: Cluster, tmp_path: Path
) -> None:
    good = tmp_path / "good"
    good.touch()
    check = health_check("COMMAND", {"value": f"test -e {good}"}, consecutive_failures=1)
    task = command_scheduler.launch({**shell("sleep 600"), **check})
    command_scheduler.wait(task, "TASK_RUNNING", healthy=True)
    command_cluster.restart_agent()
    assert command_cluster.wait_for_agent() == command_cluster.agent_id
    good.unlink()
    assert command_scheduler.wait(task, "TASK_KILLED")["healthy"] is False
