"""Program hdfs-health: what daemons of HDFS say of themselves, against stand-ins for their JMX."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

import hdfs_health

Beans = dict[str, dict[str, Any]]
STATUS, INFO = "Hadoop:service=NameNode,name=NameNodeStatus", "Hadoop:service=NameNode,name=NameNodeInfo"
NAMESYSTEM = "Hadoop:service=NameNode,name=FSNamesystem"
LAGGING = "(Written txid 5 (2 txns/30ms behind) (will try to re-sync on next segment))"
JOURNALNODE = "Hadoop:service=JournalNode,name=JournalNodeInfo"
DATANODE, ACTIVITY = "Hadoop:service=DataNode,name=DataNodeInfo", "Hadoop:service=DataNode,name=DataNodeActivity-*"


class Daemon:
    """A daemon's JMX."""

    def __init__(self, beans: Beans) -> None:
        self.beans = beans
        daemon = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                bean = daemon.beans.get(dict(parse_qsl(urlsplit(self.path).query))["qry"])
                body = json.dumps({"beans": [bean] if bean else []}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


def namenode(state: str, safemode: str = "", journal: str = "(Written txid 7)") -> Beans:
    """Beans of a NameNode."""
    writing = f"Writing segment beginning at txid 5. \n192.0.2.1:8485 (Written txid 7), 192.0.2.2:8485 {journal}"
    stream = json.dumps([{"stream": writing}, {"stream": "EditLogFileOutputStream(/data/edits_inprogress_5)"}])
    return {
        STATUS: {"State": state},
        INFO: {"Safemode": safemode, "NameJournalStatus": stream},
        NAMESYSTEM: {"UnderReplicatedBlocks": 0},
    }


def datanode(states: dict[str, str], reports: dict[str, int]) -> Beans:
    """Beans of a DataNode: by NameNode, the state of its registration and the number of reports since its start."""
    actors = [{"NamenodeAddress": f"{id_}:8020", "ActorState": state} for id_, state in states.items()]
    return {
        DATANODE: {"BPServiceActorInfo": json.dumps(actors)},
        ACTIVITY: {f"BlockReportsForyard-{id_}NumOps": number for id_, number in reports.items()},
    }


@pytest.fixture
def daemons() -> Iterator[dict[str, Daemon]]:
    """NameNodes a (of this host) and b, a JournalNode and a DataNode."""
    found = {
        "a": Daemon(namenode("active")),
        "b": Daemon(namenode("standby")),
        "journal": Daemon({JOURNALNODE: {"JournalsStatus": '{"yard":{"Formatted":"true"}}'}}),
        "data": Daemon(datanode({"a": "RUNNING", "b": "RUNNING"}, {"a": 1, "b": 1})),
    }
    yield found
    for daemon in found.values():
        daemon.server.shutdown()


@pytest.fixture
def commands() -> list[str]:
    """Commands of Hadoop that were run."""
    return []


@pytest.fixture
def health(
    daemons: dict[str, Daemon], commands: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    """Run a command of the program on the host of NameNode a and of a JournalNode."""
    values = {
        "dfs.nameservices": "yard",
        "dfs.ha.namenodes.yard": "a,b",
        "dfs.namenode.rpc-address.yard.a": "a:8020",
        "dfs.namenode.rpc-address.yard.b": "b:8020",
        "dfs.namenode.http-address.yard.a": f"127.0.0.1:{daemons['a'].port}",
        "dfs.namenode.http-address.yard.b": f"127.0.0.1:{daemons['b'].port}",
        "dfs.namenode.shared.edits.dir": "qjournal://127.0.0.1:8485/yard",
        "dfs.journalnode.http-address": f"0.0.0.0:{daemons['journal'].port}",
    }
    (tmp_path / "namenode").mkdir()
    write(tmp_path / "cluster.xml", values)
    write(tmp_path / "namenode" / "hdfs-site.xml", {"dfs.ha.namenode.id": "a"})

    def as_hdfs(*command: str) -> str:
        commands.append(" ".join(command))
        if command[0] == "haadmin":
            daemons[command[2]].beans[STATUS] = {"State": "standby"}
            daemons[command[3]].beans[STATUS] = {"State": "active"}
        return ""

    monkeypatch.setattr(hdfs_health, "CONFIGURATION", tmp_path)
    monkeypatch.setattr(hdfs_health, "HAND_OVER_SECONDS", 0.5)
    monkeypatch.setattr(hdfs_health, "as_hdfs", as_hdfs)
    return lambda *arguments: hdfs_health.main(list(arguments))


def write(path: Path, values: dict[str, str]) -> None:
    """A file of Hadoop's configuration."""
    rows = "".join(f"<property><name>{name}</name><value>{value}</value></property>" for name, value in values.items())
    path.write_text(f"<configuration>{rows}</configuration>")


Health = Callable[..., int]
Daemons = dict[str, Daemon]


@pytest.mark.parametrize(("state", "status"), [("active", 0), ("standby", 0), ("initializing", 1)])
def test_a_namenode_is_healthy_that_is_active_or_standby(
    health: Health, daemons: Daemons, state: str, status: int
) -> None:
    daemons["a"].beans = namenode(state)
    assert health("namenode") == status


def test_a_namenode_that_does_not_answer_is_not_healthy(health: Health, daemons: Daemons) -> None:
    daemons["a"].server.shutdown()
    daemons["a"].server.server_close()
    assert health("namenode") == 1


def test_a_namenode_in_safemode_is_not_ready(
    health: Health, daemons: Daemons, capsys: pytest.CaptureFixture[str]
) -> None:
    assert health("namenode-ready") == 0
    daemons["a"].beans = namenode("standby", safemode="Safe mode is ON.")
    assert health("namenode-ready") == 1
    assert "Safe mode is ON." in capsys.readouterr().err


def test_an_active_namenode_hands_over_to_a_standby(health: Health, commands: list[str]) -> None:
    assert health("hand-over") == 0
    assert commands == ["haadmin -failover a b"]
    assert (health("namenode-active"), health("active")) == (1, 0)


def test_a_standby_has_nothing_to_hand_over(health: Health, daemons: Daemons, commands: list[str]) -> None:
    daemons["a"].beans, daemons["b"].beans = namenode("standby"), namenode("active")
    assert (health("hand-over"), commands) == (0, [])


@pytest.mark.parametrize("other", [namenode("standby", safemode="Safe mode is ON."), {}], ids=["in safemode", "away"])
def test_nothing_is_handed_over_to_a_namenode_that_could_not_serve(
    health: Health, daemons: Daemons, commands: list[str], capsys: pytest.CaptureFixture[str], other: Beans
) -> None:
    daemons["b"].beans = other
    assert (health("hand-over"), commands) == (1, [])
    assert "See to the other NameNodes and the DataNodes first" in capsys.readouterr().err


def test_a_journalnode_is_written_to_after_a_new_segment(
    health: Health, daemons: Daemons, commands: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert (health("journalnode-writing"), commands) == (0, ["dfsadmin -rollEdits"])
    daemons["a"].beans = namenode("active", journal=LAGGING)
    assert health("journalnode-writing") == 1
    assert "does not write to the JournalNodes 192.0.2.2\n" in capsys.readouterr().err


@pytest.mark.parametrize(("journal", "host", "status"), [("", 2, 0), (LAGGING, 2, 0), (LAGGING, 1, 1)])
def test_a_journalnode_can_be_missed_if_all_others_are_written_to(
    health: Health, daemons: Daemons, monkeypatch: pytest.MonkeyPatch, journal: str, host: int, status: int
) -> None:
    monkeypatch.setattr(hdfs_health, "own_addresses", lambda: [f"192.0.2.{host}"])
    daemons["a"].beans = namenode("active", journal=journal or "(Written txid 7)")
    assert health("journalnode-spare") == status


def test_without_an_active_namenode_a_journalnode_need_only_answer(
    health: Health, daemons: Daemons, commands: list[str]
) -> None:
    daemons["a"].beans = namenode("standby")
    assert (health("journalnode-writing"), commands) == (0, [])


@pytest.mark.parametrize(
    ("beans", "said"),
    [
        ({JOURNALNODE: {"JournalsStatus": '{"yard":{"Formatted":"true"}}'}}, "formatted: 127.0.0.1\nsilent: \n"),
        ({JOURNALNODE: {"JournalsStatus": '{"yard":{"Formatted":"false"}}'}}, "formatted: \nsilent: \n"),
        ({JOURNALNODE: {"JournalsStatus": "{}"}}, "formatted: \nsilent: \n"),
        ({}, "formatted: \nsilent: 127.0.0.1\n"),
    ],
)
def test_journalnodes_with_data_and_silent_ones_are_told_apart(
    health: Health, daemons: Daemons, capsys: pytest.CaptureFixture[str], beans: Beans, said: str
) -> None:
    daemons["journal"].beans = beans
    assert health("journals") == 0
    assert capsys.readouterr().out == said


@pytest.mark.parametrize(
    ("beans", "reason"),
    [
        (datanode({"a": "RUNNING"}, {"a": 1}), "not registered with NameNode b"),
        (datanode({"a": "RUNNING", "b": "CONNECTING"}, {"a": 1}), "not registered with NameNode b"),
        (datanode({"a": "RUNNING", "b": "RUNNING"}, {"a": 1, "b": 0}), "no blocks reported to NameNode b"),
        ({}, "has no Hadoop:service=DataNode"),
    ],
)
def test_a_datanode_is_healthy_once_every_namenode_has_its_blocks(
    health: Health, daemons: Daemons, capsys: pytest.CaptureFixture[str], beans: Beans, reason: str
) -> None:
    url = f"http://127.0.0.1:{daemons['data'].port}"
    assert health("datanode", url) == 0
    daemons["data"].beans = beans
    assert health("datanode", url) == 1
    assert reason in capsys.readouterr().err


def test_a_namenode_that_is_down_does_not_make_a_datanode_unhealthy(health: Health, daemons: Daemons) -> None:
    daemons["b"].beans = {}
    daemons["data"].beans = datanode({"a": "RUNNING", "b": "CONNECTING"}, {"a": 1})
    assert health("datanode", f"http://127.0.0.1:{daemons['data'].port}") == 0


def test_blocks_that_lacked_replicas_before_are_no_reason_to_wait(
    health: Health, daemons: Daemons, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tmp_path / "lacking"
    daemons["a"].beans[NAMESYSTEM] = {"UnderReplicatedBlocks": 2}
    assert health("redundancy") == 0
    before.write_text(capsys.readouterr().out)
    assert health("redundancy", str(before)) == 0
    daemons["a"].beans[NAMESYSTEM] = {"UnderReplicatedBlocks": 3}
    assert health("redundancy", str(before)) == 1
    assert "3 blocks lack replicas, 2 did before" in capsys.readouterr().err


def test_an_unknown_command_is_answered_with_the_usage(health: Health, capsys: pytest.CaptureFixture[str]) -> None:
    assert health("restart") == 2
    assert "hdfs-health COMMAND" in capsys.readouterr().err
