"""Probes, and the health that follows from their results."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from cluster import free_port, wait_for
from mesos_helpers import Message
from mesos_helpers.checks import (
    Health,
    HealthTracker,
    Probe,
    Runtime,
    health_checker,
    plain_command,
    probe,
    status_checker,
    succeeded,
)


def tracker(**fields: float) -> HealthTracker:
    return HealthTracker({"grace_period_seconds": 10.0, "consecutive_failures": 3, **fields}, started=100.0)


def test_only_the_first_of_many_successes_is_reported() -> None:
    health = tracker()
    assert [health.record(True, 100.0 + i) for i in range(3)] == [Health(True), None, None]


def test_failures_in_the_grace_period_do_not_count() -> None:
    health = tracker(consecutive_failures=1)
    assert health.record(False, 110.0) is None
    assert health.record(False, 110.1) == Health(False, kill=True)


def test_the_first_success_ends_the_grace_period() -> None:
    health = tracker(consecutive_failures=2)
    health.record(True, 101.0)
    assert health.record(False, 102.0) == Health(False)


def test_without_a_grace_period_the_first_failure_counts() -> None:
    assert tracker(grace_period_seconds=0.0).record(False, 100.1) == Health(False)


def test_each_failure_is_reported_and_the_last_one_kills() -> None:
    health = tracker(grace_period_seconds=0.0)
    results = [health.record(False, 101.0 + i) for i in range(4)]
    assert results == [Health(False), Health(False), Health(False, kill=True), Health(False, kill=True)]


def test_a_success_after_failures_is_reported_and_starts_the_count_anew() -> None:
    health = tracker(grace_period_seconds=0.0, consecutive_failures=2)
    results = [health.record(success, 101.0) for success in (False, True, False, True)]
    assert results == [Health(False), Health(True), Health(False), Health(True)]


def test_the_defaults_are_those_of_the_protobuf_message() -> None:
    health = HealthTracker({}, started=0.0)
    results = [health.record(False, now) for now in (10.0, 11.0, 12.0, 13.0)]
    assert results == [None, Health(False), Health(False), Health(False, kill=True)]
    assert probe({"type": "TCP", "tcp": {"port": 1}}, Runtime()).timeout == 20.0


def test_a_timeout_of_zero_is_none() -> None:
    assert probe({"type": "TCP", "tcp": {"port": 1}, "timeout_seconds": 0}, Runtime()).timeout is None


@pytest.mark.parametrize(
    ("command", "argv"),
    [
        ({"value": "a b"}, ["/bin/sh", "-c", "a b"]),
        ({"shell": False, "value": "/bin/a", "arguments": ["name", "b"]}, ["/bin/a", "b"]),
        ({"shell": False, "value": "/bin/a"}, ["/bin/a"]),
    ],
)
def test_a_command_is_a_shells_or_an_executable(command: Message, argv: list[str]) -> None:
    assert plain_command(command) == argv


def test_health_checks_hold_the_command_itself_and_checks_wrap_it() -> None:
    command = {"value": "true"}
    health = probe({"type": "COMMAND", "command": command}, Runtime())
    check = probe({"type": "COMMAND", "command": {"command": command}}, Runtime())
    assert health.argv == check.argv == ["/bin/sh", "-c", "true"]


def test_an_http_probe_asks_the_loopback_and_no_proxy() -> None:
    http = {"port": 80, "path": "/a", "scheme": "https"}
    found = probe({"type": "HTTP", "http": http}, Runtime(network=["nsenter", "--"]))
    assert found.argv[:2] == ["nsenter", "--"]
    assert found.argv[-1] == "https://127.0.0.1:80/a"
    assert found.argv[found.argv.index("--noproxy") + 1] == "*"


@pytest.mark.parametrize(
    ("kind", "part", "expected"),
    [("HTTP", "http", "http://[::1]:80"), ("TCP", "tcp", "::1")],
)
def test_a_probe_may_use_ipv6(kind: str, part: str, expected: str) -> None:
    found = probe({"type": kind, part: {"port": 80, "protocol": "IPv6"}}, Runtime())
    assert expected in found.argv


@pytest.mark.parametrize("check", [{}, {"type": "UNKNOWN"}, {"type": "GRPC", "grpc": {}}, {"type": "HTTP"}])
def test_a_check_of_no_known_type_is_refused(check: Message) -> None:
    with pytest.raises(ValueError, match="needs type COMMAND, HTTP or TCP"):
        probe(check, Runtime())


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"type": "COMMAND", "command": {"exit_code": 0}}, True),
        ({"type": "COMMAND", "command": {"exit_code": 1}}, False),
        ({"type": "COMMAND", "command": {}}, False),
        ({"type": "HTTP", "http": {"status_code": 199}}, False),
        ({"type": "HTTP", "http": {"status_code": 200}}, True),
        ({"type": "HTTP", "http": {"status_code": 399}}, True),
        ({"type": "HTTP", "http": {"status_code": 400}}, False),
        ({"type": "HTTP", "http": {}}, False),
        ({"type": "TCP", "tcp": {"succeeded": True}}, True),
        ({"type": "TCP", "tcp": {"succeeded": False}}, False),
        ({"type": "TCP", "tcp": {}}, False),
    ],
)
def test_which_results_are_successes(status: Message, expected: bool) -> None:
    assert succeeded(status) is expected


def test_a_command_that_exits_gives_its_status() -> None:
    assert Probe("COMMAND", ["sh", "-c", "exit $CODE"], {"CODE": "3"}, 10.0).run() == {
        "type": "COMMAND",
        "command": {"exit_code": 3},
    }


@pytest.mark.parametrize("argv", [["sh", "-c", "kill -9 $$"], ["/no/such/program"], ["sh", "-c", "sleep 60 & wait"]])
def test_a_command_that_does_not_exit_gives_no_status(argv: list[str]) -> None:
    assert Probe("COMMAND", argv, {}, 0.5).run() == {"type": "COMMAND", "command": {}}


def test_a_port_that_nobody_listens_on_gives_no_connection() -> None:
    check = {"type": "TCP", "tcp": {"port": free_port()}}
    assert probe(check, Runtime()).run() == {"type": "TCP", "tcp": {"succeeded": False}}


def test_a_server_that_never_answers_times_out() -> None:
    listen = "import socket, time; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)"
    with subprocess.Popen([sys.executable, "-c", f"{listen}; time.sleep(60)"], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        check = {"type": "HTTP", "http": {"port": int(server.stdout.readline())}, "timeout_seconds": 0.5}
        assert probe(check, Runtime()).run() == {"type": "HTTP", "http": {}}
        server.kill()


def test_a_health_checker_reports_until_it_is_stopped() -> None:
    reports: list[Health] = []
    check = {"type": "COMMAND", "command": {"value": "exit 1"}, "delay_seconds": 0, "interval_seconds": 0}
    checker = health_checker({**check, "grace_period_seconds": 0}, Runtime(), reports.append)
    wait_for("three reports", lambda: len(reports) >= 3)
    checker.stop()
    assert reports[:3] == [Health(False), Health(False), Health(False, kill=True)]


def test_a_health_checker_waits_for_its_delay() -> None:
    ran = threading.Event()

    def command(_: Message) -> list[str]:
        return ["true"]

    check = {"type": "COMMAND", "command": {"value": ""}, "delay_seconds": 3600}
    checker = health_checker(check, Runtime(command), lambda _: ran.set())
    assert not ran.wait(0.5)
    checker.stop()


def test_a_status_checker_reports_changes_only(tmp_path: Path) -> None:
    reports: list[Message] = []
    code, runs = tmp_path / "code", tmp_path / "runs"
    code.write_text("0")
    command = {"value": f"echo >> {runs}; exit $(cat {code})"}
    check = {"type": "COMMAND", "command": {"command": command}, "delay_seconds": 0, "interval_seconds": 0}
    checker = status_checker(check, Runtime(), reports.append)
    wait_for("five runs", lambda: runs.exists() and runs.read_text().count("\n") >= 5)
    (tmp_path / "next").write_text("1")
    (tmp_path / "next").rename(code)
    wait_for("another report", lambda: len(reports) > 1)
    checker.stop()
    assert [r["command"]["exit_code"] for r in reports] == [0, 1]
