"""A ZooKeeper ensemble of three, seen by its clients."""

from collections.abc import Iterator

import pytest
import yard
from ensemble import MEMBERS, main_process, modes
from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError
from kazoo.security import make_digest_acl


@pytest.fixture
def client() -> Iterator[KazooClient]:
    connection = KazooClient(",".join(f"{yard.address(member)}:{yard.ZOOKEEPER_PORT}" for member in MEMBERS))
    connection.start(timeout=30)
    yield connection
    connection.stop()
    connection.close()


def single_client(member: str) -> KazooClient:
    connection = KazooClient(f"{yard.address(member)}:{yard.ZOOKEEPER_PORT}")
    connection.start(timeout=30)
    return connection


def test_exactly_one_member_leads_and_the_others_follow() -> None:
    assert modes() == ["follower", "follower", "leader"]


@pytest.mark.parametrize("member", MEMBERS)
def test_the_service_is_enabled_runs_unprivileged_and_comes_back_by_itself(member: str) -> None:
    host = yard.node(member)
    service = host.service("zookeeper")
    assert service.is_enabled and service.is_running
    assert host.check_output("ps --no-headers -o user -p %s", main_process(member)) == "zookeeper"
    before = yard.four_letter_word(member, "srvr")
    yard.kill_service(member, "zookeeper")
    yard.wait_for("the member takes part again", lambda: modes() == ["follower", "follower", "leader"])
    assert before


def test_what_one_member_took_every_other_gives(client: KazooClient) -> None:
    client.ensure_path("/test")
    path = client.create("/test/written-", b"everywhere", sequence=True)
    for member in MEMBERS:
        reader = single_client(member)
        reader.sync(path)
        assert reader.get(path)[0] == b"everywhere"
        reader.stop()
    client.delete("/test", recursive=True)


def test_a_znode_with_digest_credentials_refuses_others(client: KazooClient) -> None:
    client.add_auth("digest", "owner:right")
    client.create("/guarded", b"", acl=[make_digest_acl("owner", "right", all=True)])
    for login in (None, "owner:wrong"):
        stranger = single_client(MEMBERS[0])
        if login:
            stranger.add_auth("digest", login)
        with pytest.raises(NoAuthError):
            stranger.set("/guarded", b"theirs")
        with pytest.raises(NoAuthError):
            stranger.get("/guarded")
        stranger.stop()
    client.delete("/guarded")


def test_a_new_leader_takes_over_when_the_leader_is_killed_and_nothing_is_lost(client: KazooClient) -> None:
    path = client.create("/kept-", b"kept", sequence=True)
    leader = next(member for member in MEMBERS if yard.mode(member) == "leader")
    yard.kill_service(leader, "zookeeper")
    others = [member for member in MEMBERS if member != leader]
    yard.wait_for("another member leads", lambda: "leader" in [yard.mode(member) for member in others], 15)
    yard.wait_for("the killed member is back", lambda: yard.mode(leader))
    assert client.retry(client.get, path)[0] == b"kept"
    client.delete(path)


def test_the_admin_server_answers_on_the_loopback_address_only() -> None:
    host = yard.node(MEMBERS[0])
    assert "ruok" in host.check_output("curl --silent --fail http://127.0.0.1:8180/commands/ruok")
    assert host.run("curl --silent --max-time 2 http://%s:8180/commands/ruok", yard.address(MEMBERS[0])).rc != 0
