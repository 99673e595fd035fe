"""A file system of one NameNode and one DataNode, of the archive that HADOOP_ARCHIVE names."""

from __future__ import annotations

import os
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from single_node import Hadoop

PORTS = ("dfs.namenode.http-address", "dfs.datanode.address", "dfs.datanode.http.address", "dfs.datanode.ipc.address")


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive, unpacked."""
    archive = os.environ.get("HADOOP_ARCHIVE")
    if not archive:
        pytest.skip("HADOOP_ARCHIVE does not name the archive to test")
    folder = tmp_path_factory.mktemp("hadoop")
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    (top,) = folder.iterdir()
    return top


def free_ports(count: int) -> list[int]:
    """Return ports that nothing listens on; all are held until the last is found, so that they differ."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def configuration(values: dict[str, str]) -> str:
    properties = (f"<property><name>{name}</name><value>{value}</value></property>" for name, value in values.items())
    return f"<configuration>{''.join(properties)}</configuration>"


def wait_for(what: str, condition: Callable[[], bool], server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        if server.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"no {what}: {log.read_text()[-4000:]}")
        time.sleep(0.2)


@pytest.fixture(scope="session")
def hadoop(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hadoop]:
    """A running file system."""
    folder = tmp_path_factory.mktemp("servers")
    rpc, *others = free_ports(1 + len(PORTS))
    site = {name: f"127.0.0.1:{port}" for name, port in zip(PORTS, others, strict=True)}
    site |= {
        "dfs.namenode.name.dir": f"{folder}/name",
        "dfs.datanode.data.dir": f"{folder}/data",
        "dfs.replication": "1",
    }
    conf = folder / "conf"
    conf.mkdir()
    (conf / "core-site.xml").write_text(configuration({"fs.defaultFS": f"hdfs://localhost:{rpc}"}))
    (conf / "hdfs-site.xml").write_text(configuration(site))
    hadoop = Hadoop(home, conf, site[PORTS[0]])
    hadoop.run("hdfs", "namenode", "-format", "-nonInteractive")
    servers = []
    try:
        for name, what, condition in (
            ("namenode", "answer of the NameNode", lambda: bool(hadoop.name_node_state())),
            ("datanode", "live DataNode", lambda: hadoop.name_node_state().get("NumLiveDataNodes") == 1),
        ):
            log = folder / f"{name}.log"
            with log.open("wb") as output:
                command = [str(home / "bin" / "hdfs"), "--config", str(conf), name]
                servers.append(subprocess.Popen(command, stdout=output, stderr=output, env=hadoop.environment))
            wait_for(what, condition, servers[-1], log)
        yield hadoop
    finally:
        for server in reversed(servers):
            server.terminate()
            server.wait(20)
