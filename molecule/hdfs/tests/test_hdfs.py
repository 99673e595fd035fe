"""HDFS as its users and its administrators see it."""

import re
from typing import Any

import hdfs_client
import pytest
import requests
import yard
from hdfs_client import (
    DATANODES,
    GATEWAY,
    HOME,
    JOURNALNODES,
    MIB,
    NAMENODES,
    SUPERUSER,
    UNITS,
    USER,
    ask,
    request,
    run,
)

SERVICES = [(host, unit) for unit, hosts in UNITS.items() for host in hosts]
WEB = [
    *((host, hdfs_client.NAMENODE_PORT, "dfshealth.html") for host in NAMENODES),
    *((host, hdfs_client.DATANODE_PORT, "datanode.html") for host in DATANODES),
    *((host, hdfs_client.JOURNALNODE_PORT, "journalnode.html") for host in JOURNALNODES),
]


def test_exactly_one_namenode_is_active_and_the_other_stands_by() -> None:
    assert sorted(hdfs_client.state(host) for host in NAMENODES) == ["active", "standby"]


@pytest.mark.parametrize(("host", "unit"), SERVICES)
def test_a_service_is_enabled_unprivileged_and_comes_back_by_itself(host: str, unit: str) -> None:
    shown = yard.node(host).check_output(
        "systemctl show %s --property=ActiveState,UnitFileState,User,Restart --value", unit
    )
    assert sorted(shown.split()) == sorted(["active", "enabled", SUPERUSER, "always"])
    owner = yard.node(host).check_output("ps --no-headers -o user:32 %s", hdfs_client.main_process(host, unit))
    assert owner == SUPERUSER


@pytest.mark.parametrize(
    ("user", "command", "expected"),
    [
        (USER, "hdfs dfs -ls -d /user/*", rf"^drwx\S+ +- +{USER} +\S+ .* {HOME}$"),
        (USER, "hadoop fs -stat %u {home}", rf"^{USER}$"),
        (USER, "hdfs getconf -namenodes", rf"^{NAMENODES[0]}\S* {NAMENODES[1]}"),
        (USER, "hdfs version", r"^Hadoop 3\.([4-9]|\d\d)\."),
        (SUPERUSER, "hdfs dfsadmin -report", rf"^Live datanodes \({len(DATANODES)}\):$"),
        (SUPERUSER, "hdfs haadmin -getAllServiceState", r"^\S+ +active"),
        (SUPERUSER, "hdfs fsck /", r"^The filesystem under path '/' is HEALTHY$"),
        (SUPERUSER, "hdfs balancer -threshold 100", r"^The cluster is balanced\. Exiting"),
    ],
)
def test_the_hdfs_command_does_what_its_users_expect(user: str, command: str, expected: str) -> None:
    result = run(command.format(home=HOME), user)
    assert result.rc == 0, result.stdout + result.stderr
    assert re.search(expected, result.stdout, re.MULTILINE), result.stdout


def test_an_unknown_command_is_refused() -> None:
    result = run("hdfs nosuchcommand")
    assert result.rc != 0
    assert "nosuchcommand" in result.stdout + result.stderr


@pytest.mark.parametrize(("host", "port", "page"), WEB)
def test_a_daemon_has_its_web_page(host: str, port: int, page: str) -> None:
    response = requests.get(f"http://{yard.address(host)}:{port}/{page}", timeout=5)
    assert response.ok
    assert "<html" in response.text


def test_a_file_is_read_back_as_it_was_written_and_has_a_replica_in_each_rack(folder: str) -> None:
    path = f"{folder}/random"
    host = yard.node(GATEWAY)
    written = host.check_output(
        f"runuser --user {USER} -- bash -c 'set -o pipefail; "
        f"head --bytes={64 * MIB} /dev/urandom | tee >(sha256sum >&2) | hdfs dfs -put - {path}' 2>&1"
    ).split()[-2]
    read = host.check_output(f"runuser --user {USER} -- hdfs dfs -cat {path} | sha256sum").split()[0]
    assert read == written
    status = ask("GETFILESTATUS", path)
    assert (status["length"], status["replication"], status["owner"]) == (64 * MIB, len(DATANODES), USER)
    assert hdfs_client.healthy("/")
    racks = re.findall(r"(/[\w/-]+)/[\d.]+:\d+", hdfs_client.fsck(path, "files", "blocks", "racks"))
    assert len(racks) == len(set(racks)) == len(DATANODES)
    for agent in DATANODES:
        assert hdfs_client.digest(path, agent) == written


def test_folders_have_the_owners_and_modes_that_their_users_need() -> None:
    shown = {
        path: (status["owner"], status["permission"])
        for path in ("/tmp", HOME, "/spark", "/spark/events")
        if (status := ask("GETFILESTATUS", path))
    }
    assert shown == {
        "/tmp": (SUPERUSER, "1777"),
        HOME: (USER, "750"),
        "/spark": ("spark", "755"),
        "/spark/events": ("spark", "1777"),
    }


@pytest.mark.parametrize(
    ("method", "operation", "path"),
    [("PUT", "MKDIRS", f"{HOME}/theirs"), ("PUT", "CREATE", "/theirs"), ("GET", "LISTSTATUS", HOME)],
)
def test_a_user_without_the_right_is_refused(method: str, operation: str, path: str) -> None:
    assert hdfs_client.refusal(request(method, operation, path, "stranger")) == "AccessControlException"


def test_a_user_without_the_right_is_refused_by_the_command_too() -> None:
    result = run("hdfs dfs -mkdir /mine")
    assert result.rc != 0
    assert f"Permission denied: user={USER}" in result.stderr


def test_a_users_home_has_the_inventorys_quota() -> None:
    variables, summary = yard.variables(), ask("GETCONTENTSUMMARY", HOME)
    assert summary["quota"] == variables["hdfs_namenode_home_name_quota"]
    assert summary["spaceQuota"] == variables["hdfs_namenode_home_space_quota_mb"] * MIB


def test_a_name_quota_is_enforced(folder: str) -> None:
    assert request("PUT", "SETQUOTA", folder, SUPERUSER, namespacequota=3).ok
    assert request("PUT", "MKDIRS", f"{folder}/a/b").ok
    assert hdfs_client.refusal(request("PUT", "MKDIRS", f"{folder}/a/b/c")) == "NSQuotaExceededException"


def test_a_space_quota_is_enforced(folder: str) -> None:
    assert request("PUT", "SETQUOTA", folder, SUPERUSER, storagespacequota=8 * MIB).ok
    blocks: dict[str, Any] = {"blocksize": MIB, "replication": len(DATANODES)}
    assert request("PUT", "CREATE", f"{folder}/small", data=bytes(2 * MIB), **blocks).ok
    refused = request("PUT", "CREATE", f"{folder}/big", data=bytes(4 * MIB), **blocks)
    assert hdfs_client.refusal(refused) == "DSQuotaExceededException"
    assert ask("GETCONTENTSUMMARY", folder)["spaceConsumed"] <= 8 * MIB


def test_a_check_finds_nothing_to_change_and_says_which_folders_are_on_no_disk_of_their_own() -> None:
    output = yard.play("playbooks/hdfs.yml", "--check")
    changes = yard.changes(output)
    assert {*NAMENODES, *DATANODES, *JOURNALNODES} <= set(changes)
    assert not any(changes.values())
    for kind, hosts in (("namenode", NAMENODES), ("datanode", DATANODES)):
        for host in hosts:
            folder = f"/var/lib/hadoop-hdfs/{kind}"
            assert re.search(rf"ok: \[{host}\] =>\s+msg: {folder} is not on a disk of its own", output)
