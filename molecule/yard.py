"""The yard as the tests of all scenarios see it: its nodes from outside, and the interfaces that it offers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import requests
import testinfra
import yaml
from requests.auth import HTTPBasicAuth

ROOT = Path(__file__).parents[1]
# A scenario with nodes of its own names their inventory here.
INVENTORY = Path(os.environ.get("YARD_INVENTORY", ROOT / "inventories" / "local"))
# Molecule has Ansible force colours, which nobody wants in text that tests read.
ANSIBLE_ENVIRONMENT = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0"}
MESOS_PORT, AGENT_PORT, ZOOKEEPER_PORT, SCHEDULER_PORT = 5050, 5051, 2181, 8090

T = TypeVar("T")
Json = Any

_GROUPS: dict[str, Any] = yaml.safe_load((INVENTORY / "hosts.yml").read_text())["all"]["children"]


def hosts(group: str) -> list[str]:
    """Names of the hosts of an inventory group."""
    return list(_GROUPS[group]["hosts"])


def address(host: str) -> str:
    """A node's IPv4 address."""
    return str(_GROUPS["nodes"]["hosts"][host]["nodes_address"])


def container(host: str) -> str:
    """The name of a node's container in this machine's Docker Engine."""
    return str(_GROUPS["nodes"]["hosts"][host]["ansible_host"])


def variables() -> dict[str, Any]:
    """The local inventory's own variables of all hosts, as they are written there."""
    written: dict[str, Any] = yaml.safe_load((INVENTORY / "group_vars" / "all" / "local.yml").read_text())
    return written


def resolved(host: str, variable: str) -> Any:
    """A host's variable as Ansible has it, with its templates resolved."""
    command = ["ansible", f"--inventory={INVENTORY}", host, "--module-name=debug", f"--args=var={variable}"]
    environment = {**ANSIBLE_ENVIRONMENT, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return json.loads(output.partition("=>")[2])[variable]


def node(host: str) -> Any:
    """Testinfra's view of a node."""
    return testinfra.get_host(f"ansible://{host}?ansible_inventory={INVENTORY}")


def secret(name: str) -> str:
    """A secret of the inventory."""
    return (INVENTORY / "secrets" / name).read_text().split(" salt=")[0].strip()


def wait_for(what: str, condition: Callable[[], T | None], seconds: float = 60.0, every: float = 0.2) -> T:
    """Poll until the condition gives something true, and return that.

    Raises:
        AssertionError: it did not in that many seconds.
    """
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(every)
    return result


def get(url: str, **options: Any) -> Json | None:
    """The JSON at an address, or None where there is no good answer."""
    try:
        response = requests.get(url, timeout=5, **options)
        return response.json() if response.ok else None
    except (OSError, ValueError):
        return None


def login(principal: str, secret_name: str) -> HTTPBasicAuth:
    """A principal and its secret, which a failed assertion does not print."""
    return HTTPBasicAuth(principal, secret(secret_name))


def admin() -> HTTPBasicAuth:
    """Mesos' administrator."""
    return login("admin", "mesos_admin")


def metrics(host: str, port: int = MESOS_PORT) -> dict[str, float]:
    """Metrics of a master or an agent; empty where it does not answer."""
    return get(f"http://{address(host)}:{port}/metrics/snapshot", auth=admin()) or {}


def leading_masters() -> list[str]:
    """Hosts whose master says that it leads."""
    return [host for host in hosts("mesos_masters") if metrics(host).get("master/elected") == 1]


def leading_master() -> str:
    """The host of the one leading master, waited for."""
    return wait_for("one master leads", lambda: leaders[0] if len(leaders := leading_masters()) == 1 else None)


def mesos(path: str) -> Json | None:
    """JSON of the leading master's HTTP API."""
    leaders = leading_masters()
    return get(f"http://{address(leaders[0])}:{MESOS_PORT}{path}", auth=admin()) if leaders else None


def agents() -> dict[str, str]:
    """Ids of the active agents, by host."""
    state = mesos("/slaves") or {}
    return {agent["hostname"]: agent["id"] for agent in state.get("slaves", []) if agent["active"]}


def four_letter_word(host: str, word: str) -> str:
    """ZooKeeper's answer to a four letter word; empty where it gives none."""
    import socket

    try:
        with socket.create_connection((address(host), ZOOKEEPER_PORT), timeout=2) as connection:
            connection.sendall(word.encode())
            return b"".join(iter(lambda: connection.recv(4096), b"")).decode()
    except OSError:
        return ""


def mode(host: str) -> str:
    """A ZooKeeper member's mode, such as `leader`; empty while it takes no part in a quorum."""
    found = re.search(r"^Mode: (\w+)", four_letter_word(host, "srvr"), re.MULTILINE)
    return found[1] if found else ""


def workers() -> list[dict[str, Any]]:
    """The healthy workers that the scheduler knows."""
    listed = get(f"http://{address(hosts('mesos_masters')[0])}:{SCHEDULER_PORT}/workers") or []
    return [worker for worker in listed if worker["healthy"]]


def kill_service(host: str, unit: str) -> None:
    """Kill a service's main process by SIGKILL."""
    node(host).check_output("systemctl kill --kill-whom=main --signal=KILL %s", unit)


def _play(playbook: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["ansible-playbook", f"--inventory={INVENTORY}", str(ROOT / playbook), *arguments],
        env=ANSIBLE_ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )


def play(playbook: str, *arguments: str) -> str:
    """Run a playbook on the yard and return what it prints.

    Raises:
        AssertionError: it failed.
    """
    result = _play(playbook, *arguments)
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]
    return result.stdout


def refused(playbook: str, *arguments: str) -> str:
    """Run a playbook that must fail on the yard, and return what it prints, its messages with single spaces.

    Raises:
        AssertionError: it did not fail.
    """
    result = _play(playbook, *arguments)
    assert result.returncode == 2, result.stdout[-6000:] + result.stderr[-2000:]
    return " ".join(result.stdout.split())


def changes(output: str) -> dict[str, int]:
    """The number of changes by host, from a play's recap."""
    return {host: int(count) for host, count in re.findall(r"^(\w+) +: ok=\d+ +changed=(\d+)", output, re.MULTILINE)}


@contextmanager
def restored(playbook: str, *arguments: str) -> Iterator[None]:
    """Run a playbook without the test's own variables afterwards, so that the yard is as the inventory says."""
    try:
        yield
    finally:
        play(playbook, *arguments)
