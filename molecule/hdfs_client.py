"""HDFS as its clients see it: by WebHDFS and the daemons' metrics from outside, and by the node's own `hdfs` command.

WebHDFS: https://hadoop.apache.org/docs/stable/hadoop-project-dist/hadoop-hdfs/WebHDFS.html
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any, Self
from urllib.parse import urlsplit

import requests
import yard

NAMENODES, DATANODES, JOURNALNODES = (
    yard.hosts(group) for group in ("hdfs_namenodes", "hdfs_datanodes", "hdfs_journalnodes")
)
GATEWAY = yard.hosts("gateways")[0]
NAMENODE_PORT, DATANODE_PORT, JOURNALNODE_PORT = 9870, 9864, 8480
UNITS = {
    "hdfs-journalnode": JOURNALNODES,
    "hdfs-namenode": NAMENODES,
    "hdfs-zkfc": NAMENODES,
    "hdfs-datanode": DATANODES,
}
SUPERUSER, USER = "hdfs", "analyst"
HOME = f"/user/{USER}"
MIB = 2**20


def bean(host: str, name: str, port: int = NAMENODE_PORT) -> dict[str, Any]:
    """A daemon's metrics of one name, such as `service=NameNode,name=FSNamesystem`; empty where it does not answer."""
    answer = yard.get(f"http://{yard.address(host)}:{port}/jmx?qry=Hadoop:{name}") or {}
    beans: list[dict[str, Any]] = answer.get("beans", [])
    return beans[0] if beans else {}


def state(host: str) -> str:
    """A NameNode's state, `active` or `standby`; empty while it has none."""
    return str(bean(host, "service=NameNode,name=NameNodeStatus").get("State", ""))


def active() -> str:
    """The host of the one active NameNode, waited for."""
    return yard.wait_for(
        "one NameNode is active",
        lambda: found[0] if len(found := [host for host in NAMENODES if state(host) == "active"]) == 1 else None,
    )


def standby() -> str:
    """The host of the other NameNode."""
    (host,) = set(NAMENODES) - {active()}
    return host


def namesystem(host: str) -> dict[str, Any]:
    """What a NameNode counts: blocks, replicas, DataNodes."""
    return bean(host, "service=NameNode,name=FSNamesystem") | bean(host, "service=NameNode,name=FSNamesystemState")


def cluster_id(host: str) -> str:
    """The id that a NameNode's namespace got when it was formatted."""
    return str(bean(host, "service=NameNode,name=NameNodeInfo").get("ClusterId", ""))


def whole() -> bool:
    """Both NameNodes serve, one of them as the active one, and all DataNodes with all replicas are there."""
    if sorted(state(host) for host in NAMENODES) != ["active", "standby"]:
        return False
    counts = namesystem(active())
    return (
        all(namesystem(host).get("FSState") == "Operational" for host in NAMENODES)
        and counts.get("NumLiveDataNodes") == len(DATANODES)
        and counts.get("UnderReplicatedBlocks") == 0
        and counts.get("MissingBlocks") == 0
    )


def request(
    method: str,
    operation: str,
    path: str,
    user: str = USER,
    host: str = "",
    data: bytes | None = None,
    **parameters: Any,
) -> requests.Response:
    """WebHDFS' answer to an operation, from the NameNode on the host named, or from the active one.

    The redirection to a DataNode is followed here: this machine does not know the nodes' names.

    Raises:
        requests.RequestException: there is no answer.
    """
    response = requests.request(
        method,
        f"http://{yard.address(host or active())}:{NAMENODE_PORT}/webhdfs/v1{path}",
        params={"op": operation, "user.name": user, **parameters},
        allow_redirects=False,
        timeout=5,
    )
    if response.status_code != 307:
        return response
    target = urlsplit(response.headers["Location"])
    assert target.hostname is not None
    reachable = target._replace(netloc=f"{yard.address(target.hostname)}:{target.port}")
    return requests.request(method, reachable.geturl(), data=data, timeout=30, stream=True)


def refusal(response: requests.Response) -> str:
    """The name of the exception by which WebHDFS refused an operation; empty where it did not."""
    return "" if response.ok else str(response.json()["RemoteException"]["exception"])


def ask(operation: str, path: str, user: str = SUPERUSER) -> Any:
    """What WebHDFS knows of a path."""
    response = request("GET", operation, path, user)
    assert response.ok, response.text
    (answer,) = response.json().values()
    return answer


def sha256(response: requests.Response) -> str:
    """The SHA-256 of an answer, which need not fit into memory."""
    taken = hashlib.sha256()
    for chunk in response.iter_content(MIB):
        taken.update(chunk)
    return taken.hexdigest()


def without(*hosts: str) -> dict[str, Any]:
    """WebHDFS' parameters for a DataNode other than some."""
    return {"excludedatanodes": ",".join(map(yard.address, hosts))} if hosts else {}


def digest(path: str, *avoided: str) -> str:
    """The SHA-256 of a file's bytes, read by a DataNode other than those to avoid."""
    response = request("GET", "OPEN", path, SUPERUSER, **without(*avoided))
    assert response.ok, response.text
    return sha256(response)


def fsck(path: str = "/", *options: str) -> str:
    """The report of `hdfs fsck`, which the command itself asks the active NameNode for by this address."""
    query = "&".join(["ugi=" + SUPERUSER, "path=" + path, *(f"{option}=1" for option in options)])
    response = requests.get(f"http://{yard.address(active())}:{NAMENODE_PORT}/fsck?{query}", timeout=30)
    assert response.ok, response.text
    return response.text


def healthy(path: str = "/") -> bool:
    """Whether `hdfs fsck` finds a path healthy, with all replicas."""
    report = fsck(path)
    lacking = [line for line in report.splitlines() if line.strip().startswith(("Under-replicated", "Missing blocks"))]
    return f"The filesystem under path '{path}' is HEALTHY" in report and all(
        line.split(":")[1].split()[0] == "0" for line in lacking
    )


def run(command: str, user: str = USER, host: str = GATEWAY) -> Any:
    """The result of a command of a user on a node."""
    return yard.node(host).run(f"runuser --user {user} -- {command}")


def started() -> dict[tuple[str, str], int]:
    """When each of HDFS' services was started, by unit and host: microseconds of the clock that all nodes share."""
    times: dict[tuple[str, str], int] = {}
    for host in sorted({host for hosts in UNITS.values() for host in hosts}):
        units = [unit for unit, hosts in UNITS.items() if host in hosts]
        shown = yard.node(host).check_output(
            "systemctl show --property=ExecMainStartTimestampMonotonic --value " + " ".join(units)
        )
        times.update(zip(((unit, host) for unit in units), map(int, shown.split()), strict=True))
    return times


def main_process(host: str, unit: str) -> str:
    """The id of a service's main process; 0 where it does not run."""
    return str(yard.node(host).check_output("systemctl show %s --property=MainPID --value", unit))


class Copy:
    """A user's `hdfs dfs -put` of random bytes, 8 MiB a second, which goes on until it is told to end.

    Blocks are small, so that there is a new one every second, for which the client needs the active NameNode.
    """

    BLOCK = 8 * MIB

    def __init__(self, path: str) -> None:
        self.path = path
        self.sent = 0
        self._digest = hashlib.sha256()
        self._end = threading.Event()
        put = f"hdfs dfs -D dfs.blocksize={self.BLOCK} -put - {path}"
        self._process = subprocess.Popen(
            ["docker", "exec", "--interactive", yard.container(GATEWAY), "runuser", "--user", USER, "--", *put.split()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=False,
        )
        self._thread = threading.Thread(target=self._feed, daemon=True)
        self._thread.start()

    def _feed(self) -> None:
        assert self._process.stdin is not None
        try:
            with self._process.stdin as stream:
                while not self._end.wait(0.125):
                    chunk = os.urandom(MIB)
                    stream.write(chunk)
                    self._digest.update(chunk)
                    self.sent += len(chunk)
        except BrokenPipeError:
            pass  # The command ended by itself; its exit status tells why.

    def goes_on(self, blocks: int = 3) -> None:
        """Wait until that many more blocks are complete in HDFS."""
        before = self._complete()
        yard.wait_for(
            f"{blocks} more blocks of {self.path} in HDFS", lambda: self._complete() >= before + blocks * self.BLOCK
        )

    def _complete(self) -> int:
        """Bytes in the file that the command writes and renames at its end."""
        assert self._process.poll() is None, self._output()
        try:
            response = request("GET", "GETFILESTATUS", self.path + "._COPYING_", SUPERUSER)
        except requests.RequestException:
            return 0
        return int(response.json()["FileStatus"]["length"]) if response.ok else 0

    def _output(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.read().decode()

    def finish(self) -> None:
        """End the copy, and see that all bytes are in HDFS, on every DataNode."""
        self._end.set()
        self._thread.join(60)
        output = self._output()
        assert self._process.wait(60) == 0, output
        expected = self._digest.hexdigest()
        ended = time.monotonic()
        yard.wait_for("all replicas are there", lambda: healthy(self.path), 120)
        print(f"{self.sent // MIB} MiB copied; all replicas were there after {time.monotonic() - ended:.1f} s")
        for host in DATANODES:
            assert digest(self.path, host) == expected

    def abandon(self) -> None:
        """End the copy where it did not finish."""
        self._end.set()
        self._process.kill()


class Poller:
    """What clients notice in the meantime: five times a second, a look, a read and a write.

    A reader and a writer ask the other NameNode, or the other DataNode, where one does not answer, as HDFS' own client
    does.

    Attributes:
        samples: number of looks at the counters.
        most_lacking: highest number of blocks that lacked replicas, or had none.
        fewest_datanodes: lowest number of DataNodes that answered.
        fewest_namenodes: lowest number of NameNodes that answered.
        longest_gap: longest time in seconds between two successes, of `read` and of `write`.
    """

    def __init__(self, path: str, expected: str) -> None:
        self._path, self._expected = path, expected
        self.samples = 0
        self.most_lacking = 0
        self.fewest_datanodes = len(DATANODES)
        self.fewest_namenodes = len(NAMENODES)
        self.longest_gap = {"read": 0.0, "write": 0.0}
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._look),
            threading.Thread(target=self._serve, args=("read", self._read)),
            threading.Thread(target=self._serve, args=("write", self._write)),
        ]

    def _look(self) -> None:
        while not self._stop.wait(0.2):
            states = {host: state(host) for host in NAMENODES}
            self.fewest_namenodes = min(self.fewest_namenodes, sum(bool(value) for value in states.values()))
            answered = [bean(host, "service=DataNode,name=DataNodeInfo", DATANODE_PORT) for host in DATANODES]
            self.fewest_datanodes = min(self.fewest_datanodes, sum(bool(answer) for answer in answered))
            for host in (host for host, value in states.items() if value == "active"):
                counts = namesystem(host)
                lacking = counts.get("UnderReplicatedBlocks", 0) + counts.get("MissingBlocks", 0)
                self.most_lacking = max(self.most_lacking, lacking)
            self.samples += 1

    def _serve(self, kind: str, work: Callable[[], bool]) -> None:
        served = time.monotonic()
        while not self._stop.wait(0.2):
            succeeded, now = work(), time.monotonic()
            self.longest_gap[kind] = max(self.longest_gap[kind], now - served)
            if succeeded:
                served = now

    def _read(self) -> bool:
        for host in NAMENODES:
            for avoided in ((), *((datanode,) for datanode in DATANODES)):
                try:
                    response = request("GET", "OPEN", self._path, SUPERUSER, host, **without(*avoided))
                    if response.ok and sha256(response) == self._expected:
                        return True
                except requests.RequestException:
                    continue
        return False

    def _write(self) -> bool:
        return any(takes_writes(host, self._path) for host in NAMENODES)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def takes_writes(host: str, path: str) -> bool:
    """Whether a NameNode does what only an active one may: here, to set a file's time."""
    try:
        return request("PUT", "SETTIMES", path, SUPERUSER, host, modificationtime=int(time.time() * 1000)).ok
    except requests.RequestException:
        return False
