"""What playbooks/preflight.yml refuses: inventories, and machines as their facts describe them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from house import HOUSE

Inventory = dict[str, Any]
Change = Callable[[Inventory], None]

# Facts of a machine that suits every role.
FACTS = {
    "ansible_distribution": "Debian",
    "ansible_distribution_version": "12.11",
    "ansible_distribution_major_version": "12",
    "ansible_architecture": "x86_64",
    "ansible_kernel": "6.1.0-37-amd64",
    "ansible_memtotal_mb": 4096,
    "ansible_default_ipv4": {"address": "192.0.2.1"},
}
# Describes a machine to Ansible in place of its own module of facts, from a file of facts beside it.
FACTS_MODULE = """\
#!/usr/bin/python3
import json, pathlib
# WANT_JSON: Ansible passes arguments in a file, which are of no interest.
print(json.dumps({"ansible_facts": json.loads(pathlib.Path(%r).read_text())}))
"""
GROUPS = ["zookeeper", "mesos_masters", "mesos_agents", "registry"]


def valid(masters: list[str], agent: str) -> Inventory:
    """An inventory that nothing is wrong with."""
    return {
        "children": {
            "zookeeper": {"hosts": {name: {"zookeeper_id": number} for number, name in enumerate(masters, 1)}},
            "mesos_masters": {"hosts": {name: {} for name in masters}},
            "mesos_agents": {"hosts": {agent: {}}},
            "registry": {"hosts": {masters[0]: {}}},
        },
        "vars": {
            "mesos_master_admin": "admin",
            "mesos_master_credentials": [{"principal": "admin", "secret": "secret"}],
            "mesos_master_zookeeper_password": "secret",
            "mesos_agent_principal": "agent",
            "mesos_agent_secret": "secret",
            "mesos_agent_zookeeper_password": "secret",
        },
    }


def without_hosts(group: str) -> Change:
    return lambda inventory: inventory["children"].pop(group)


def with_host(group: str, name: str, **variables: Any) -> Change:
    return lambda inventory: inventory["children"][group]["hosts"].update({name: variables})


def with_variable(name: str, value: Any) -> Change:
    return lambda inventory: inventory["vars"].update({name: value})


def with_hdfs(
    variables: dict[str, Any] | None = None, namenodes: int = 2, journalnodes: int = 3, datanodes: int = 1
) -> Change:
    """HDFS of that many daemons, of whose hosts the first is the inventory's."""

    def change(inventory: Inventory) -> None:
        (host, *_) = inventory["children"]["mesos_masters"]["hosts"]
        for name, number in [("namenode", namenodes), ("journalnode", journalnodes), ("datanode", datanodes)]:
            inventory["children"][f"hdfs_{name}s"] = {"hosts": {host: {}} if number else {}}
            inventory["vars"][f"hadoop_{name}_hosts"] = [f"m{n}" for n in range(1, number + 1)]
        inventory["vars"] |= {"hdfs_namenode_zookeeper_password": "secret", **(variables or {})}

    return change


def without_id(inventory: Inventory) -> None:
    inventory["children"]["zookeeper"]["hosts"]["m2"] = {}


@dataclass(frozen=True)
class Case:
    """A change to an inventory and to facts, and what the refusal has to say."""

    message: list[str]
    change: Change = lambda inventory: None
    facts: dict[str, Any] | None = None
    """Where not given, nothing must ask for facts: the hosts' names lead nowhere."""


INVENTORIES = {
    **{
        f"no {group}": Case([f'no hosts in the group "{group}"', "Name them"], without_hosts(group)) for group in GROUPS
    },
    "two registries": Case(['"registry" has 2 hosts (m1, m2)', "Leave one host"], with_host("registry", "m2")),
    "four ZooKeeper members": Case(
        ['"zookeeper" has 4 hosts (m1, m2, m3, a1)', "Add one or take one out"],
        with_host("zookeeper", "a1", zookeeper_id=4),
    ),
    "four masters": Case(
        ['"mesos_masters" has 4 hosts (m1, m2, m3, a1)', "Add one or take one out"], with_host("mesos_masters", "a1")
    ),
    **{
        f"{name} id": Case(
            [f"ids of m1, m2, m3 are 1, {shown}, 3", "zookeeper_id of its own between 1 and 255", "Set it"], change
        )
        for name, shown, change in [
            ("a duplicate", "3", with_host("zookeeper", "m2", zookeeper_id=3)),
            ("a missing", "(none)", without_id),
            ("too small an", "0", with_host("zookeeper", "m2", zookeeper_id=0)),
            ("too large an", "256", with_host("zookeeper", "m2", zookeeper_id=256)),
        ]
    },
    "one NameNode": Case(
        ["There are 1 NameNodes (m1)", 'Add a host to the inventory group "hdfs_namenodes"'], with_hdfs(namenodes=1)
    ),
    "two JournalNodes": Case(
        ["There are 2 JournalNodes (m1, m2)", "odd number, three at least", '"hdfs_journalnodes"'],
        with_hdfs(journalnodes=2),
    ),
    "one JournalNode": Case(["There are 1 JournalNodes (m1)", "three at least"], with_hdfs(journalnodes=1)),
    "no DataNode": Case(["There are no DataNodes", '"hdfs_datanodes"'], with_hdfs(datanodes=0)),
}
MACHINES = {
    "another distribution": Case(
        ["runs Ubuntu 22.04 on x86_64", "need Debian 12 on x86_64", "Install it"],
        facts={
            "ansible_distribution": "Ubuntu",
            "ansible_distribution_version": "22.04",
            "ansible_distribution_major_version": "22",
        },
    ),
    "another release": Case(
        ["runs Debian 11.9 on x86_64", "need Debian 12 on x86_64", "Install it"],
        facts={"ansible_distribution_version": "11.9", "ansible_distribution_major_version": "11"},
    ),
    "another architecture": Case(
        ["runs Debian 12.11 on aarch64", "need Debian 12 on x86_64", "Install it"],
        facts={"ansible_architecture": "aarch64"},
    ),
    "an old kernel": Case(
        ["runs Linux 4.9.0-19-amd64", "need 4.19 or newer", "linux-image-amd64", "reboot"],
        facts={"ansible_kernel": "4.9.0-19-amd64"},
    ),
    "too little memory for a node": Case(
        ["has 899 MiB", "node_memory_min_mb asks for 900 MiB", "more memory"], facts={"ansible_memtotal_mb": 899}
    ),
    "too little memory for ZooKeeper": Case(
        ["has 4096 MiB", "zookeeper_heap_mb = 4000 needs 6000 MiB", "Lower zookeeper_heap_mb"],
        with_variable("zookeeper_heap_mb", 4000),
        facts={},
    ),
    "too little memory for a master": Case(
        ["has 4096 MiB", "mesos_master_memory_min_mb = 8192 MiB", "more memory"],
        with_variable("mesos_master_memory_min_mb", 8192),
        facts={},
    ),
    "too little memory for what an agent offers": Case(
        ["has 4096 MiB", "mesos_agent_resources.mem = 65536", "Offer less"],
        with_variable("mesos_agent_resources", {"mem": 65536}),
        facts={},
    ),
    **{
        f"too little memory for a {daemon}": Case(
            ["has 4096 MiB", f"{variable} = 4000", f"Lower {variable}"], with_hdfs({variable: 4000}), facts={}
        )
        for daemon, variable in [
            ("NameNode", "hdfs_namenode_heap_mb"),
            ("JournalNode", "hdfs_journalnode_heap_mb"),
            ("DataNode", "hdfs_datanode_heap_mb"),
        ]
    },
    "too little memory for all heaps of HDFS": Case(
        ["has 4096 MiB", "add up to 2900 MiB", "hdfs_datanode_heap_mb = 1450", "need 4350 MiB", "Lower one"],
        with_hdfs({"hadoop_heaps_mb": {"hdfs_namenode_heap_mb": 1450, "hdfs_datanode_heap_mb": 1450}}),
        facts={},
    ),
    **{
        f"a {variable} that is no disk": Case(
            [f"{variable} ", "is not on a disk of its own", "Mount a disk there"],
            with_hdfs({f"{role}_require_disks": True, variable: value}),
            facts={"ansible_mounts": [{"mount": "/"}, {"mount": "/data/1"}]},
        )
        for role, variable, value in [
            ("hdfs_namenode", "hdfs_namenode_dirs", ["/data/1/namenode", "/data/10"]),
            ("hdfs_datanode", "hdfs_datanode_dirs", ["/data/1", "/srv/datanode"]),
            ("hdfs_journalnode", "hdfs_journalnode_dir", "/srv/journalnode"),
        ]
    },
    "an administrator without a secret": Case(
        ['mesos_master_admin is "root"', "(admin)", "Add it there with a secret"],
        with_variable("mesos_master_admin", "root"),
        facts={},
    ),
}
SUITABLE = Case([], facts={})
SUITABLE_FOR_HDFS = Case(
    [],
    with_hdfs({"hdfs_datanode_require_disks": True, "hdfs_datanode_dirs": ["/data/1", "/data/2/hdfs"]}),
    facts={"ansible_memtotal_mb": 8192, "ansible_mounts": [{"mount": "/data/1"}, {"mount": "/data/2"}]},
)


@dataclass(frozen=True)
class Outcome:
    """How a run of the playbook ended."""

    status: int
    messages: list[str]
    """Messages of the tasks that failed, with one line break or space for each run of them."""
    hosts: set[str]
    """Hosts that took part."""
    changed: int


def preflight(folder: Path, case: Case) -> Outcome:
    folder.mkdir()
    inventory = valid(["m1", "m2", "m3"], "a1") if case.facts is None else valid(["m1"], "m1")
    case.change(inventory)
    if case.facts is None:
        inventory["vars"] |= {"ansible_connection": "ssh", "ansible_host": "host.invalid"}
    else:
        inventory["vars"] |= {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        (folder / "facts.json").write_text(json.dumps(FACTS | case.facts))
        (folder / "described_facts.py").write_text(FACTS_MODULE % str(folder / "facts.json"))
    (folder / "hosts.yml").write_text(json.dumps({"all": inventory}))
    settings = {
        "ANSIBLE_CONFIG": str(HOUSE / "ansible.cfg"),
        "ANSIBLE_CALLBACKS_ENABLED": "ansible.posix.json",
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        "ANSIBLE_FACTS_MODULES": "described_facts",
        "ANSIBLE_LIBRARY": str(folder),
        "ANSIBLE_LOCALHOST_WARNING": "false",
    }
    program = Path(sys.executable).with_name("ansible-playbook")
    done = subprocess.run(
        [program, f"--inventory={folder / 'hosts.yml'}", HOUSE / "playbooks" / "preflight.yml"],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("{"), done.stderr
    report = json.loads(done.stdout)
    results = [result for play in report["plays"] for task in play["tasks"] for result in task["hosts"].values()]
    failed = [item for result in results for item in result.get("results", [result]) if item.get("failed")]
    messages = [" ".join(item["msg"].split()) for item in failed]
    changed = sum(host["changed"] for host in report["stats"].values())
    return Outcome(done.returncode, messages, set(report["stats"]), changed)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Outcome]]]:
    """All cases, run side by side."""
    folder = tmp_path_factory.mktemp("preflight")
    cases = INVENTORIES | MACHINES | {"suitable": SUITABLE, "suitable for HDFS": SUITABLE_FOR_HDFS}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield {name: pool.submit(preflight, folder / str(n), case) for n, (name, case) in enumerate(cases.items())}


@pytest.mark.parametrize("name", INVENTORIES)
def test_an_inventory_is_refused_before_any_host_is_touched(name: str, outcomes: dict[str, Future[Outcome]]) -> None:
    outcome = outcomes[name].result()
    assert outcome.status != 0
    assert outcome.hosts == {"localhost"}
    (message,) = outcome.messages
    assert [part for part in INVENTORIES[name].message if part not in message] == []


@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_is_refused_before_anything_changes(name: str, outcomes: dict[str, Future[Outcome]]) -> None:
    outcome = outcomes[name].result()
    assert outcome.status != 0
    assert outcome.changed == 0
    assert outcome.messages
    for message in outcome.messages:
        assert [part for part in MACHINES[name].message if part not in message] == []


@pytest.mark.parametrize("name", ["suitable", "suitable for HDFS"])
def test_a_suitable_machine_passes_unchanged(name: str, outcomes: dict[str, Future[Outcome]]) -> None:
    outcome = outcomes[name].result()
    assert (outcome.status, outcome.messages, outcome.changed) == (0, [], 0)
    assert outcome.hosts == {"localhost", "m1"}
