"""What a changed value restarts, and what users notice of it."""

import hashlib
import os
from collections.abc import Iterator

import pytest
import yard
from hdfs_client import DATANODES, MIB, NAMENODES, Poller, active, request, standby, started

PLAYBOOK = "playbooks/hdfs.yml"
DATANODE_CHANGE = (
    "--tags=hdfs_datanode",
    '--extra-vars={"hdfs_datanode_options": {"dfs.datanode.handler.count": 11}}',
)
NAMENODE_CHANGE = (
    "--tags=hdfs_namenode",
    '--extra-vars={"hdfs_namenode_options": {"dfs.namenode.handler.count": 11}}',
)


@pytest.fixture
def poller(folder: str) -> Iterator[Poller]:
    """A poller of a file of several blocks."""
    content = os.urandom(4 * MIB)
    assert request("PUT", "CREATE", f"{folder}/read", data=content, blocksize=MIB).ok
    with Poller(f"{folder}/read", hashlib.sha256(content).hexdigest()) as polling:
        yield polling


def restarted(before: dict[tuple[str, str], int], after: dict[tuple[str, str], int]) -> list[tuple[str, str]]:
    """Units and hosts of the services that were restarted, in the order of their starts."""
    return sorted((service for service in after if after[service] != before[service]), key=lambda key: after[key])


def test_a_change_of_the_datanodes_restarts_them_one_at_a_time_and_nothing_else(poller: Poller) -> None:
    before = started()
    with yard.restored(PLAYBOOK, DATANODE_CHANGE[0]):
        yard.play(PLAYBOOK, *DATANODE_CHANGE)
        after = started()
    assert sorted(restarted(before, after)) == [("hdfs-datanode", host) for host in DATANODES]
    assert poller.samples > 20
    assert poller.fewest_datanodes == len(DATANODES) - 1
    assert poller.most_lacking == 0
    print(f"longest time without a read, or a write: {poller.longest_gap}")
    assert max(poller.longest_gap.values()) < 5


def test_a_change_of_the_namenodes_restarts_the_standby_first_and_then_fails_over(poller: Poller) -> None:
    old, other = active(), standby()
    before = started()
    with yard.restored(PLAYBOOK, NAMENODE_CHANGE[0]):
        yard.play(PLAYBOOK, *NAMENODE_CHANGE)
        after = started()
        assert restarted(before, after) == [("hdfs-namenode", other), ("hdfs-namenode", old)]
        assert active() == other
    assert poller.samples > 20
    assert poller.fewest_namenodes == len(NAMENODES) - 1
    assert poller.most_lacking == 0
    print(f"longest time without a read, or a write: {poller.longest_gap}")
    assert max(poller.longest_gap.values()) < 30
