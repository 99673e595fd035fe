"""Health checks and checks of tasks, as Mesos 1.11's built-in executors perform them.

Sources: docs/health-checks.md and src/checks/{checker_process,checker,health_checker}.cpp of Apache Mesos. A check
is a command that is run and timed out; HTTP checks run curl, as upstream, and may enter a network namespace.
"""

import dataclasses
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

from mesos_helpers import Message

LOG = logging.getLogger("checks")
_CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2]))).close()"


def plain_command(command: Message) -> list[str]:
    """The argument vector of a CommandInfo: of a shell, or the executable and what follows argv[0] in `arguments`."""
    if command.get("shell", True):
        return ["/bin/sh", "-c", command["value"]]
    return [command["value"], *command.get("arguments", [])[1:]]


def environment_of(command: Message) -> dict[str, str]:
    """The plain variables of a CommandInfo, by name; secrets are the business of an isolator that is not here."""
    variables = command.get("environment", {}).get("variables", [])
    return {v["name"]: v.get("value", "") for v in variables if v.get("type", "VALUE") == "VALUE"}


@dataclasses.dataclass(frozen=True)
class Runtime:
    """Where a task's checks run.

    `command` makes the argument vector of a COMMAND check from its CommandInfo; `network` precedes that of an HTTP or
    TCP check, to enter the task's network namespace.
    """

    command: Callable[[Message], list[str]] = plain_command
    network: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Probe:
    """One way to look at a task: `kind` is COMMAND, HTTP or TCP; a `timeout` (in seconds) of None is none."""

    kind: str
    argv: Sequence[str]
    environment: dict[str, str]
    timeout: float | None

    def run(self) -> Message:
        """Looks once; returns a CheckStatusInfo, whose part named after the kind is empty if there is no result."""
        status: Message = {"type": self.kind, self.kind.lower(): {}}
        try:
            with subprocess.Popen(
                self.argv,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if self.kind == "HTTP" else None,
                start_new_session=True,
            ) as process:
                try:
                    output, _ = process.communicate(timeout=self.timeout)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    LOG.warning("%s check timed out after %g seconds", self.kind, self.timeout)
                    return status
        except OSError as error:
            LOG.warning("%s check could not be run: %s", self.kind, error)
            return status
        code = process.returncode
        if self.kind == "TCP":
            status["tcp"] = {"succeeded": code == 0}
        elif self.kind == "COMMAND" and code >= 0:
            status["command"] = {"exit_code": code}
        elif self.kind == "HTTP" and code == 0:
            status["http"] = {"status_code": int(output)}
        else:
            LOG.warning("%s check failed: %s ended with %d", self.kind, self.argv[0], code)
        return status


def probe(check: Message, runtime: Runtime) -> Probe:
    """The probe of a HealthCheck or a CheckInfo message.

    Raises ValueError if the message is of an unknown type or lacks that type's part.
    """
    kind = check.get("type", "UNKNOWN")
    part = check.get(kind.lower())
    if kind not in ("COMMAND", "HTTP", "TCP") or part is None:
        raise ValueError(f"a check of type {kind} needs type COMMAND, HTTP or TCP and the field of that name")
    timeout = check.get("timeout_seconds", 20.0) or None
    if kind == "COMMAND":
        command = part.get("command", part)  # CheckInfo wraps the CommandInfo, HealthCheck does not.
        return Probe(kind, runtime.command(command), environment_of(command), timeout)
    host = "::1" if part.get("protocol") == "IPv6" else "127.0.0.1"
    if kind == "TCP":
        argv = [sys.executable, "-ISc", _CONNECT, host, str(part["port"])]
    else:
        domain = f"[{host}]" if ":" in host else host
        url = f"{part.get('scheme', 'http')}://{domain}:{part['port']}{part.get('path', '')}"
        argv = ["curl", "-sSLkg", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}", url]
    return Probe(kind, [*runtime.network, *argv], {}, timeout)


def succeeded(status: Message) -> bool:
    """What a CheckStatusInfo means to a health check: status 0, HTTP 200 to 399, or a connection."""
    result: Message = status[status["type"].lower()]
    if status["type"] == "COMMAND":
        return bool(result.get("exit_code") == 0)
    if status["type"] == "HTTP":
        return bool(200 <= result.get("status_code", 0) < 400)
    return bool(result.get("succeeded"))


@dataclasses.dataclass(frozen=True)
class Health:
    """A change of a task's health that its executor reports; `kill` asks for the task's end."""

    healthy: bool
    kill: bool = False


class HealthTracker:
    """Turns results into health, as HealthChecker::success() and ::failure() do.

    The first success, the first one after failures, and every failure are reported. Failures do not count until the
    grace period is over or a first success ended it.
    """

    def __init__(self, health_check: Message, started: float) -> None:
        self._grace_ends = started + health_check.get("grace_period_seconds", 10.0)
        self._limit = health_check.get("consecutive_failures", 3)
        self._initializing = True
        self._failures = 0

    def record(self, success: bool, now: float) -> Health | None:
        """The health to report after a result at time `now` (in seconds, on the clock of `started`), if any."""
        if success:
            changed = self._initializing or self._failures > 0
            self._initializing = False
            self._failures = 0
            return Health(True) if changed else None
        if self._initializing and now <= self._grace_ends:
            return None
        self._failures += 1
        return Health(False, kill=self._failures >= self._limit)


class Checker:
    """Runs a probe again and again, in a thread, until stopped."""

    def __init__(self, check: Message, runtime: Runtime, report: Callable[[Message], None]) -> None:
        """`report` is called with the CheckStatusInfo of every run. Raises ValueError as probe() does."""
        self._probe = probe(check, runtime)
        self._delay: float = check.get("delay_seconds", 15.0)
        self._interval: float = check.get("interval_seconds", 10.0)
        self._report = report
        self._stopped = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        """Starts no further run and reports no more."""
        self._stopped.set()

    def _run(self) -> None:
        wait = self._delay
        while not self._stopped.wait(wait):
            status = self._probe.run()
            if not self._stopped.is_set():
                self._report(status)
            wait = self._interval


def health_checker(check: Message, runtime: Runtime, report: Callable[[Health], None]) -> Checker:
    """Checks a task's health as a HealthCheck message says; `report` is called with each change."""
    tracker = HealthTracker(check, time.monotonic())

    def record(status: Message) -> None:
        health = tracker.record(succeeded(status), time.monotonic())
        if health is not None:
            report(health)

    return Checker(check, runtime, record)


def status_checker(check: Message, runtime: Runtime, report: Callable[[Message], None]) -> Checker:
    """Checks a task as a CheckInfo message says; `report` is called with each CheckStatusInfo unlike the last."""
    last = empty_status(check)

    def record(status: Message) -> None:
        nonlocal last
        if status != last:
            last = status
            report(status)

    return Checker(check, runtime, record)


def empty_status(check: Message) -> Message:
    """The CheckStatusInfo of a task that was not checked yet."""
    kind = check.get("type", "UNKNOWN")
    return {"type": kind, kind.lower(): {}}
