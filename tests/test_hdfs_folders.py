"""Module hdfs_folders: folders of HDFS, made by WebHDFS, against a stand-in for two NameNodes."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from house import HOUSE

MODULE = HOUSE / "roles" / "hdfs_namenode" / "library" / "hdfs_folders.py"
CLUSTER = """<configuration>
  <property><name>dfs.nameservices</name><value>yard</value></property>
  <property><name>dfs.ha.namenodes.yard</name><value>a,b</value></property>
  <property><name>dfs.namenode.http-address.yard.a</name><value>127.0.0.1:{a}</value></property>
  <property><name>dfs.namenode.http-address.yard.b</name><value>127.0.0.1:{b}</value></property>
</configuration>
"""


@dataclass
class Namespace:
    """What the NameNodes know."""

    active: str = "b"
    safemode_calls: int = 0
    """Writes that are refused because of safemode before it ends."""
    paths: dict[str, dict[str, Any]] = field(default_factory=lambda: {"/": folder("hdfs", "hadoop", "755")})
    writes: list[str] = field(default_factory=list)

    def answer(self, operation: str, path: str, query: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Status and JSON of an operation."""
        status = self.paths.get(path)
        if operation in ("GETFILESTATUS", "GETQUOTAUSAGE"):
            if status is None:
                return remote(404, "FileNotFoundException", f"File does not exist: {path}")
            name = "FileStatus" if operation == "GETFILESTATUS" else "QuotaUsage"
            return 200, {name: status[name]}
        if self.safemode_calls:
            self.safemode_calls -= 1
            return remote(403, "RetriableException", "org.apache.hadoop.hdfs.server.namenode.SafeModeException: wait")
        if query["user.name"] != "hdfs":
            return remote(403, "AccessControlException", f"Permission denied: user={query['user.name']}")
        self.writes.append(f"{operation} {path}")
        if operation == "MKDIRS":
            self.paths[path] = folder("hdfs", "hadoop", query["permission"])
        elif operation == "SETOWNER":
            self.paths[path]["FileStatus"].update(owner=query["owner"], group=query["group"])
        elif operation == "SETPERMISSION":
            self.paths[path]["FileStatus"]["permission"] = query["permission"]
        elif operation == "SETQUOTA":
            quota = {"quota": int(query["namespacequota"]), "spaceQuota": int(query["storagespacequota"])}
            self.paths[path]["QuotaUsage"].update(quota)
        return 200, {"boolean": True}


def folder(owner: str, group: str, permission: str) -> dict[str, Any]:
    """A folder as WebHDFS describes it, whose modes have no leading zero."""
    return {
        "FileStatus": {"type": "DIRECTORY", "owner": owner, "group": group, "permission": permission.lstrip("0")},
        "QuotaUsage": {"quota": -1, "spaceQuota": -1},
    }


def remote(status: int, exception: str, message: str) -> tuple[int, dict[str, Any]]:
    """An exception as WebHDFS hands it on."""
    return status, {"RemoteException": {"exception": exception, "message": message}}


def serve(name: str, namespace: Namespace) -> ThreadingHTTPServer:
    """A NameNode's WebHDFS."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = dict(parse_qsl(url.query))
            status, answer = remote(
                403, "StandbyException", "Operation category READ is not supported in state standby"
            )
            if name == namespace.active:
                status, answer = namespace.answer(query["op"], url.path.removeprefix("/webhdfs/v1"), query)
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_PUT = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


@pytest.fixture
def namespace() -> Namespace:
    return Namespace()


@pytest.fixture
def cluster(namespace: Namespace, tmp_path: Path) -> Iterator[Path]:
    servers = {name: serve(name, namespace) for name in "ab"}
    path = tmp_path / "cluster.xml"
    path.write_text(CLUSTER.format(**{name: server.server_port for name, server in servers.items()}))
    yield path
    for server in servers.values():
        server.shutdown()


def run(cluster: Path, *folders: dict[str, Any], check: bool = False, **options: Any) -> dict[str, Any]:
    """What the module answers."""
    arguments = {"configuration": str(cluster), "folders": list(folders), "_ansible_check_mode": check, **options}
    done = subprocess.run(
        [sys.executable, MODULE], input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}), capture_output=True, text=True
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


HOME: dict[str, Any] = {
    "path": "/user/ann",
    "owner": "ann",
    "group": "ann",
    "mode": "0750",
    "name_quota": 100,
    "space_quota_mb": 1,
}


def test_folders_are_made_with_owner_mode_and_quotas_by_the_active_namenode(
    cluster: Path, namespace: Namespace
) -> None:
    answer = run(cluster, {"path": "/user"}, HOME)
    assert (answer["changed"], answer["paths"]) == (True, ["/user", "/user/ann"])
    assert namespace.paths["/user"]["FileStatus"] == folder("hdfs", "hadoop", "0755")["FileStatus"] | {
        "permission": "0755"
    }
    made = namespace.paths["/user/ann"]
    assert made["FileStatus"] == {"type": "DIRECTORY", "owner": "ann", "group": "ann", "permission": "0750"}
    assert made["QuotaUsage"] == {"quota": 100, "spaceQuota": 1048576}


def test_folders_as_asked_for_are_left_alone(cluster: Path, namespace: Namespace) -> None:
    run(cluster, {"path": "/user"}, HOME)
    namespace.writes.clear()
    assert run(cluster, {"path": "/user"}, HOME)["changed"] is False
    assert namespace.writes == []


def test_only_what_differs_is_set(cluster: Path, namespace: Namespace) -> None:
    run(cluster, HOME)
    changes: list[tuple[dict[str, Any], str]] = [
        ({"mode": "1777"}, "SETPERMISSION"),
        ({"owner": "bob"}, "SETOWNER"),
        ({"space_quota_mb": 2}, "SETQUOTA"),
    ]
    for change, operation in changes:
        run(cluster, HOME)
        namespace.writes.clear()
        assert run(cluster, HOME | change)["paths"] == ["/user/ann"]
        assert namespace.writes == [f"{operation} /user/ann"]


def test_a_quota_that_is_not_asked_for_is_taken_away(cluster: Path, namespace: Namespace) -> None:
    run(cluster, HOME)
    run(cluster, {key: value for key, value in HOME.items() if "quota" not in key})
    assert namespace.paths["/user/ann"]["QuotaUsage"] == {"quota": -1, "spaceQuota": -1}


def test_check_mode_says_what_would_change_and_changes_nothing(cluster: Path, namespace: Namespace) -> None:
    answer = run(cluster, HOME, check=True)
    assert answer["changed"] is True
    assert answer["diff"][0]["after"]["owner"] == "ann"
    assert namespace.writes == []


def test_it_waits_until_safemode_ends(cluster: Path, namespace: Namespace) -> None:
    namespace.safemode_calls = 3
    assert run(cluster, HOME)["changed"] is True


def test_safemode_that_does_not_end_is_reported_with_what_ends_it(cluster: Path, namespace: Namespace) -> None:
    namespace.safemode_calls = 1000
    message = run(cluster, HOME, seconds=1)["msg"]
    assert "/user/ann: for 1 s no NameNode was active and out of safemode" in message
    assert "SafeModeException" in message and "See to the DataNodes" in message


def test_a_file_in_place_of_a_folder_is_refused(cluster: Path, namespace: Namespace) -> None:
    namespace.paths["/user/ann"] = folder("ann", "ann", "750")
    namespace.paths["/user/ann"]["FileStatus"]["type"] = "FILE"
    message = run(cluster, HOME)["msg"]
    assert "/user/ann is a file. Move it away" in message
    assert namespace.writes == []


def test_what_hdfs_refuses_is_reported_in_its_words(cluster: Path) -> None:
    message = run(cluster, HOME, user="ann")["msg"]
    assert "MKDIRS /user/ann: AccessControlException: Permission denied: user=ann" in message


def test_a_file_without_namenodes_is_named(tmp_path: Path) -> None:
    (tmp_path / "cluster.xml").write_text("<configuration/>")
    message = run(tmp_path / "cluster.xml", HOME)["msg"]
    assert "cluster.xml has no property 'dfs.nameservices'" in message
