"""A copy goes on, and nothing is lost, whatever fails."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import hdfs_client
import pytest
import yard
from hdfs_client import DATANODES, JOURNALNODES, UNITS, Copy, active, main_process, request

FAILOVER_SECONDS = 30


def killed_datanode() -> tuple[str, str]:
    return DATANODES[0], "hdfs-datanode"


def killed_journalnode() -> tuple[str, str]:
    return JOURNALNODES[0], "hdfs-journalnode"


def killed_zookeeper_leader() -> tuple[str, str]:
    return next(host for host in yard.hosts("zookeeper") if yard.mode(host) == "leader"), "zookeeper"


def failover(path: str, old: str, since: float) -> None:
    """Wait until the other NameNode takes writes, and print how long it took."""
    (other,) = set(hdfs_client.NAMENODES) - {old}
    yard.wait_for("the other NameNode takes writes", lambda: hdfs_client.takes_writes(other, path), FAILOVER_SECONDS)
    print(f"the other NameNode took writes after {time.monotonic() - since:.1f} s")


@pytest.mark.parametrize("victim", [killed_datanode, killed_journalnode, killed_zookeeper_leader])
def test_a_copy_ends_right_when_a_service_is_killed(copy: Copy, victim: Callable[[], tuple[str, str]]) -> None:
    host, unit = victim()
    before = main_process(host, unit)
    yard.kill_service(host, unit)
    copy.goes_on()
    yard.wait_for("the service is back", lambda: main_process(host, unit) not in ("0", before))
    copy.finish()


def test_a_copy_ends_right_when_the_active_namenode_is_killed(copy: Copy, folder: str) -> None:
    old = active()
    begin = time.monotonic()
    yard.kill_service(old, "hdfs-namenode")
    failover(folder, old, begin)
    copy.goes_on()
    copy.finish()
    yard.wait_for("the killed NameNode stands by", lambda: hdfs_client.state(old) == "standby")


def test_a_copy_ends_right_when_the_active_namenode_freezes_which_is_then_fenced(copy: Copy, folder: str) -> None:
    old = active()
    frozen = main_process(old, "hdfs-namenode")
    begin = time.monotonic()
    yard.node(old).check_output("kill -STOP %s", frozen)
    try:
        failover(folder, old, begin)
        # Nobody thaws the process: it ended by a signal, or it still is the service's.
        yard.wait_for("the frozen NameNode is killed", lambda: main_process(old, "hdfs-namenode") not in ("0", frozen))
    finally:
        yard.node(old).run("kill -CONT %s", frozen)
    copy.goes_on()
    copy.finish()
    yard.wait_for("it stands by", lambda: hdfs_client.state(old) == "standby")


@contextmanager
def lost(host: str) -> Iterator[None]:
    """A node of which nothing is heard."""
    subprocess.run(["docker", "pause", yard.container(host)], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["docker", "unpause", yard.container(host)], check=True, capture_output=True)


def test_a_copy_ends_right_when_the_whole_node_of_the_active_namenode_is_lost(copy: Copy, folder: str) -> None:
    old = active()
    begin = time.monotonic()
    with lost(old):
        failover(folder, old, begin)
        copy.goes_on()
    # The node awakes with a NameNode that believes to be active. The journals take nothing from it.
    copy.finish()
    yard.wait_for("the lost NameNode stands by", lambda: hdfs_client.state(old) == "standby")


def test_safemode_is_left_by_itself_after_all_of_hdfs_was_stopped_at_once(folder: str) -> None:
    path = f"{folder}/kept"
    assert request("PUT", "CREATE", path, data=b"kept").ok
    expected = hdfs_client.digest(path)
    hosts = sorted({host for hosts in UNITS.values() for host in hosts})
    for action in ("stop", "start"):
        jobs = [
            subprocess.Popen(
                ["docker", "exec", yard.container(host), "systemctl", action]
                + [unit for unit, members in UNITS.items() if host in members]
            )
            for host in hosts
        ]
        assert [job.wait() for job in jobs] == [0] * len(hosts)
        begin = time.monotonic()
    yard.wait_for("HDFS is whole", hdfs_client.whole, 120)
    print(f"all of HDFS was back {time.monotonic() - begin:.1f} s after its start")
    assert hdfs_client.digest(path) == expected
