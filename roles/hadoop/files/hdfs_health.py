#!/usr/bin/python3
"""What the daemons of HDFS on this host say of themselves, and what has to happen around their restart.

    hdfs-health COMMAND

Ends with 0 if the answer is yes, or if what was to be done is done; otherwise with 1 and the reason.

    journalnode           the JournalNode answers
    journals              prints which JournalNodes have data, and which are silent
    journalnode-writing   the active NameNode writes to all JournalNodes, after beginning a new segment of edits
    journalnode-spare     the active NameNode writes to all other JournalNodes, so that it can do without this one
    namenode              the NameNode is active or standby
    namenode-active       the NameNode is active
    namenode-ready        the NameNode is active or standby, and left safemode
    active                some NameNode is active
    hand-over             another NameNode is active, after a failover if it was this one
    datanode URL          the DataNode is registered with every NameNode that answers, and has reported its blocks
    redundancy [FILE]     no more blocks lack replicas than FILE says; without FILE, prints how many do

What they say comes from their JMX by HTTP, which costs no Java process. Source: org.apache.hadoop.jmx.JMXJsonServlet
and the beans NameNodeStatus, NameNodeInfo, FSNamesystem, JournalNodeInfo, DataNodeInfo, DataNodeActivity of Hadoop 3.4.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen
from xml.etree import ElementTree

CONFIGURATION = Path("/etc/hadoop")
SECONDS = 5.0
HAND_OVER_SECONDS = 300.0


class NotHealthyError(Exception):
    """Why the answer is no."""


def properties(name: str) -> dict[str, str]:
    """The properties of a file of the configuration, without those of files that it includes."""
    found = ElementTree.parse(CONFIGURATION / name).getroot().iter("property")
    return {str(item.findtext("name")): str(item.findtext("value")) for item in found}


def bean(url: str, query: str) -> dict[str, Any]:
    """A bean of a daemon's JMX, such as Hadoop:service=NameNode,name=NameNodeStatus.

    Raises:
        NotHealthyError: the daemon does not answer, or has no such bean.
    """
    try:
        with urlopen(f"{url}/jmx?qry={query}", timeout=SECONDS) as response:
            beans: list[dict[str, Any]] = json.load(response)["beans"]
    except (OSError, ValueError) as error:
        raise NotHealthyError(f"{url} does not answer: {error}") from error
    if not beans:
        raise NotHealthyError(f"{url} has no {query} yet")
    return beans[0]


@dataclass(frozen=True)
class NameNode:
    """A NameNode of the nameservice."""

    service: str
    id: str
    address: str
    """Host and port for clients."""
    url: str

    def state(self) -> str:
        """Active, standby, or empty where it does not answer."""
        try:
            return str(bean(self.url, "Hadoop:service=NameNode,name=NameNodeStatus")["State"])
        except NotHealthyError:
            return ""

    def info(self) -> dict[str, Any]:
        """Its bean NameNodeInfo."""
        return bean(self.url, "Hadoop:service=NameNode,name=NameNodeInfo")


def namenodes() -> list[NameNode]:
    """All NameNodes."""
    cluster = properties("cluster.xml")
    service = cluster["dfs.nameservices"]
    ids = cluster[f"dfs.ha.namenodes.{service}"].split(",")
    return [
        NameNode(
            service,
            id_,
            cluster[f"dfs.namenode.rpc-address.{service}.{id_}"],
            "http://" + cluster[f"dfs.namenode.http-address.{service}.{id_}"],
        )
        for id_ in ids
    ]


def own() -> NameNode:
    """The NameNode of this host."""
    id_ = properties("namenode/hdfs-site.xml")["dfs.ha.namenode.id"]
    return next(namenode for namenode in namenodes() if namenode.id == id_)


def active() -> NameNode:
    """The active NameNode.

    Raises:
        NotHealthyError: there is none.
    """
    for namenode in namenodes():
        if namenode.state() == "active":
            return namenode
    raise NotHealthyError("no NameNode is active")


def as_hdfs(*command: str) -> str:
    """What a command of Hadoop prints that is run by its superuser.

    Raises:
        NotHealthyError: it failed.
    """
    done = subprocess.run(
        ["/usr/sbin/runuser", "-u", "hdfs", "--", "/usr/local/bin/hdfs", *command],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    if done.returncode != 0:
        raise NotHealthyError(f"hdfs {' '.join(command)} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout


def journalnode() -> None:
    """The JournalNode answers."""
    address = properties("cluster.xml")["dfs.journalnode.http-address"]
    bean("http://127.0.0.1:" + address.rpartition(":")[2], "Hadoop:service=JournalNode,name=JournalNodeInfo")


def journals() -> None:
    """Prints, as YAML, which JournalNodes have data of any nameservice, and which do not answer."""
    cluster = properties("cluster.xml")
    hosts = cluster["dfs.namenode.shared.edits.dir"].split("//")[1].split("/")[0].split(";")
    port = cluster["dfs.journalnode.http-address"].rpartition(":")[2]
    formatted, silent = [], []
    for host in (item.rpartition(":")[0] for item in hosts):
        try:
            status = bean(f"http://{host}:{port}", "Hadoop:service=JournalNode,name=JournalNodeInfo")["JournalsStatus"]
        except NotHealthyError:
            silent.append(host)
        else:
            if any(journal["Formatted"] == "true" for journal in json.loads(status).values()):
                formatted.append(host)
    print(f"formatted: {' '.join(formatted)}\nsilent: {' '.join(silent)}")


def lagging() -> list[str]:
    """Addresses of the JournalNodes that the active NameNode does not write to, though it began a new segment of edits.

    A NameNode leaves out a JournalNode that was away until it begins a new segment. Without that, restarting one
    JournalNode after the other would leave it none to write to. Where no NameNode is active nothing is written.
    """
    try:
        namenode = active()
    except NotHealthyError:
        return []
    as_hdfs("dfsadmin", "-rollEdits")
    streams = " ".join(journal["stream"] for journal in json.loads(namenode.info()["NameJournalStatus"]))
    # As in: 192.0.2.1:8485 (Written txid 7), 192.0.2.2:8485 (Written txid 5 (will try to re-sync on next segment))
    reports = re.findall(r"([\d.]+):\d+ \((.*?)(?=, [\d.]+:\d+ \(|$)", streams)
    return [address for address, report in reports if "re-sync" in report]


def journalnode_writing() -> None:
    """The active NameNode writes to all JournalNodes."""
    journalnode()
    if left_out := lagging():
        raise NotHealthyError(f"the active NameNode does not write to the JournalNodes {', '.join(left_out)}")


def own_addresses() -> list[str]:
    """The addresses of this host."""
    return subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout.split()


def journalnode_spare() -> None:
    """The active NameNode writes to all JournalNodes but perhaps the one of this host."""
    if left_out := set(lagging()) - set(own_addresses()):
        raise NotHealthyError(
            f"the active NameNode does not write to the JournalNodes {', '.join(sorted(left_out))}, and "
            "without this one it might have no majority. See to them first."
        )


def namenode() -> None:
    """The NameNode of this host is active or standby."""
    state = own().state()
    if state not in ("active", "standby"):
        raise NotHealthyError(f"the NameNode's state is {state or 'unknown'}")


def namenode_active() -> None:
    """The NameNode of this host is active."""
    if own().state() != "active":
        raise NotHealthyError("the NameNode is not active")


def namenode_ready() -> None:
    """The NameNode of this host is active or standby, and left safemode."""
    namenode()
    if safemode := own().info()["Safemode"]:
        raise NotHealthyError(safemode)


def successor(present: NameNode) -> NameNode | None:
    """A standby that could be active at once, or None."""
    for candidate in namenodes():
        try:
            if candidate != present and candidate.state() == "standby" and not candidate.info()["Safemode"]:
                return candidate
        except NotHealthyError:
            continue
    return None


def hand_over() -> None:
    """Another NameNode is active, after a failover if it was the one of this host.

    Raises:
        NotHealthyError: no other could take over.
    """
    present = own()
    if present.state() != "active":
        return
    deadline = time.monotonic() + HAND_OVER_SECONDS
    while not (next_ := successor(present)):
        if time.monotonic() > deadline:
            raise NotHealthyError(
                f"NameNode {present.id} is active, and for {HAND_OVER_SECONDS:g} s no other was standby and out of "
                "safemode to hand over to. See to the other NameNodes and the DataNodes first."
            )
        time.sleep(1)
    as_hdfs("haadmin", "-failover", present.id, next_.id)
    if present.state() == "active":
        raise NotHealthyError(f"NameNode {present.id} is still active after a failover to {next_.id}")


def datanode(url: str) -> None:
    """The DataNode is registered with every NameNode that answers, and reported its blocks to it since it started."""
    actors = json.loads(bean(url, "Hadoop:service=DataNode,name=DataNodeInfo")["BPServiceActorInfo"])
    states = {actor["NamenodeAddress"]: actor["ActorState"] for actor in actors}
    activity = bean(url, "Hadoop:service=DataNode,name=DataNodeActivity-*")
    answering = [namenode for namenode in namenodes() if namenode.state()]
    if not answering:
        raise NotHealthyError("no NameNode answers")
    for namenode in answering:
        if states.get(namenode.address) != "RUNNING":
            raise NotHealthyError(f"not registered with NameNode {namenode.id}")
        if not activity.get(f"BlockReportsFor{namenode.service}-{namenode.id}NumOps"):
            raise NotHealthyError(f"no blocks reported to NameNode {namenode.id}")


def redundancy(file: str = "") -> None:
    """No more blocks lack replicas than a file says that this writes when it is called without one."""
    lacking = int(bean(active().url, "Hadoop:service=NameNode,name=FSNamesystem")["UnderReplicatedBlocks"])
    if not file:
        print(lacking)
    elif lacking > int(Path(file).read_text()):
        raise NotHealthyError(f"{lacking} blocks lack replicas, {Path(file).read_text().strip()} did before")


COMMANDS: dict[str, Callable[..., object]] = {
    "journalnode": journalnode,
    "journals": journals,
    "journalnode-writing": journalnode_writing,
    "journalnode-spare": journalnode_spare,
    "namenode": namenode,
    "namenode-active": namenode_active,
    "namenode-ready": namenode_ready,
    "active": active,
    "hand-over": hand_over,
    "datanode": datanode,
    "redundancy": redundancy,
}


def main(arguments: list[str]) -> int:
    """Runs a command and returns its exit status."""
    if not arguments or arguments[0] not in COMMANDS:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        COMMANDS[arguments[0]](*arguments[1:])
    except (NotHealthyError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
