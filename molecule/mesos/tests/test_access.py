"""Who may do what: wrong credentials are refused everywhere, and no secret leaks."""

from collections.abc import Iterator

import pytest
import requests
import yard
from framework import Framework, Refused
from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError
from requests.auth import HTTPBasicAuth

UNAUTHORIZED = r"[Nn]ot authorized"
WRONG = "not-the-secret"
NODES = yard.hosts("nodes")
SECRETS = {path.name: yard.secret(path.name) for path in (yard.INVENTORY / "secrets").iterdir()}
SERVERS = [(host, yard.MESOS_PORT) for host in yard.hosts("mesos_masters")] + [
    (host, yard.AGENT_PORT) for host in yard.hosts("mesos_agents")
]


@pytest.fixture
def stranger() -> Iterator[KazooClient]:
    """A client of ZooKeeper without credentials."""
    members = ",".join(f"{yard.address(host)}:{yard.ZOOKEEPER_PORT}" for host in yard.hosts("zookeeper"))
    connection = KazooClient(members)
    connection.start(timeout=30)
    yield connection
    connection.stop()
    connection.close()


@pytest.mark.parametrize("login", [None, ("admin", WRONG), ("nobody", WRONG)], ids=["none", "secret", "principal"])
@pytest.mark.parametrize(("host", "port"), SERVERS, ids=[host for host, _ in SERVERS])
def test_the_http_api_refuses_wrong_credentials(host: str, port: int, login: tuple[str, str] | None) -> None:
    address = f"http://{yard.address(host)}:{port}"
    for path in ("/state", "/flags", "/metrics/snapshot", "/files/debug", "/logging/toggle", "/api/v1"):
        wrong = requests.get(address + path, auth=login, timeout=5, allow_redirects=False)
        assert wrong.status_code == 401, path
    assert requests.get(f"{address}/flags", auth=yard.admin(), timeout=5).status_code == 200


@pytest.mark.parametrize("principal", ["admin", "pmml-worker", "nobody"])
def test_a_framework_with_a_wrong_secret_is_refused(principal: str) -> None:
    with pytest.raises(Refused, match="401"):
        Framework(HTTPBasicAuth(principal, WRONG))


def test_a_framework_may_register_in_its_principals_roles_only() -> None:
    with pytest.raises(Refused, match=UNAUTHORIZED):
        Framework(yard.login("pmml-worker", "mesos_pmml_worker"), role="*")
    with Framework(yard.login("pmml-worker", "mesos_pmml_worker"), role="pmml") as own:
        assert own.subscriptions == 1


def test_an_agents_principal_may_not_register_a_framework() -> None:
    with pytest.raises(Refused, match=UNAUTHORIZED):
        Framework(yard.login("agent", "mesos_agent"))


def test_the_masters_znodes_take_nothing_from_strangers(stranger: KazooClient) -> None:
    candidates = [name for name in stranger.get_children("/mesos") if name.startswith("json.info_")]
    assert len(candidates) == len(yard.hosts("mesos_masters"))
    for path in (f"/mesos/{name}" for name in candidates):
        with pytest.raises(NoAuthError):
            stranger.set(path, b"{}")
        with pytest.raises(NoAuthError):
            stranger.delete(path)
    with pytest.raises(NoAuthError):
        stranger.create("/mesos/json.info_0000000000", b"{}")
    with pytest.raises(NoAuthError):
        stranger.set("/mesos", b"")


@pytest.mark.parametrize("node", NODES)
def test_no_secret_is_on_a_command_line_or_in_the_journal(node: str) -> None:
    host = yard.node(node)
    seen = {
        "command lines": host.check_output("ps -e -ww -o args"),
        "journal": host.check_output("journalctl --no-pager --output=cat"),
    }
    assert "systemd" in seen["command lines"] and "Started" in seen["journal"]
    # Names only: what a failed assertion shows must not leak them, either.
    leaks = [(name, place) for name, value in SECRETS.items() for place, text in seen.items() if value in text]
    assert not leaks
