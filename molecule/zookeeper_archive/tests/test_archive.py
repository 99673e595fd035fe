"""What the archive adds to the ensemble, and how an ensemble of Debian's version is moved to it."""

import pytest
import requests
import yard
from ensemble import MEMBERS, Poller, modes
from kazoo.client import KazooClient

VERSION = "Zookeeper version: 3.9.4"
DEBIAN_VERSION = "Zookeeper version: 3.8."


def versions() -> set[str]:
    return {yard.four_letter_word(member, "srvr").split("-")[0] for member in MEMBERS}


@pytest.mark.parametrize("member", MEMBERS)
def test_a_member_serves_its_metrics_to_prometheus(member: str) -> None:
    response = requests.get(f"http://{yard.address(member)}:7000/metrics", timeout=5)
    assert response.status_code == 200
    types = {line.split()[2] for line in response.text.splitlines() if line.startswith("# TYPE ")}
    assert {"quorum_size", "znode_count", "jvm_memory_pool_bytes_used"} <= types
    assert "\nquorum_size 3.0\n" in response.text


@pytest.fixture
def debian_ensemble() -> None:
    """A new ensemble of Debian's version: older versions do not promise to read what newer ones wrote."""
    for member in MEMBERS:
        yard.node(member).check_output("systemctl stop zookeeper && rm -r /var/lib/zookeeper")
    yard.play("playbooks/zookeeper.yml", "--extra-vars=zookeeper_distribution=debian")


@pytest.mark.usefixtures("debian_ensemble")
def test_one_variable_moves_an_ensemble_from_debians_version_to_the_archive_and_keeps_its_data() -> None:
    assert all(version.startswith(DEBIAN_VERSION) for version in versions())
    client = KazooClient(",".join(f"{yard.address(member)}:{yard.ZOOKEEPER_PORT}" for member in MEMBERS))
    client.start(timeout=30)
    try:
        client.create("/kept", b"kept")
        with Poller() as poller:
            yard.play("playbooks/zookeeper.yml")
        assert versions() == {VERSION}
        assert modes() == ["follower", "follower", "leader"]
        assert client.retry(client.get, "/kept")[0] == b"kept"
    finally:
        client.stop()
        client.close()
    assert poller.samples > 50
    assert poller.fewest_alive >= 2
