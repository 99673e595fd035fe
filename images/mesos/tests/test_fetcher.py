"""URIs that Hadoop fetches for tasks, on a real master and agent; a program of the test's stands for Hadoop."""

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster, Scheduler

USER = "nobody"
URI = "hdfs://yard/greeting"
# Answers as Hadoop 3 does, and notes for whom.
HADOOP = """#!/bin/sh
echo "$(id --user --name) $HOME $*" >>"${0%/bin/hadoop}/calls"
case "$*" in
  "fs -du "*) echo "6  18  $3" ;;
  "fs -copyToLocal "*) echo hello >"$4" ;;
esac
"""


@pytest.fixture
def hadoop_home() -> Iterator[Path]:
    """A Hadoop that every user can run."""
    home = Path(tempfile.mkdtemp())
    home.chmod(0o755)
    (home / "bin").mkdir()
    (home / "bin/hadoop").write_text(HADOOP)
    (home / "bin/hadoop").chmod(0o755)
    (home / "calls").touch()
    (home / "calls").chmod(0o666)
    yield home
    shutil.rmtree(home)


@pytest.fixture
def scheduler(root: Path, hadoop_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scheduler]:
    """A framework on an agent that has --hadoop_home and no other way to Hadoop."""
    monkeypatch.delenv("HADOOP_HOME", raising=False)
    # pytest's own folders are closed to the task's user.
    package, directory = hadoop_home / "package", hadoop_home / "cluster"
    shutil.copytree(root, package, copy_function=os.link)
    directory.mkdir()
    flags = {"containerizers": "mesos", "hadoop_home": hadoop_home, "fetcher_cache_dir": hadoop_home / "cache"}
    cluster = Cluster(package, directory, flags)
    try:
        with Scheduler(cluster) as framework:
            yield framework
    finally:
        cluster.close()


def read_greeting(scheduler: Scheduler, **uri: object) -> None:
    """Runs a task of USER that needs the URI."""
    command = {"value": "grep --quiet hello greeting", "user": USER, "uris": [{"value": URI, **uri}]}
    scheduler.wait(scheduler.launch({"command": command}), "TASK_FINISHED")


def test_hadoop_fetches_as_the_user_of_the_task_and_with_its_home(scheduler: Scheduler, hadoop_home: Path) -> None:
    read_greeting(scheduler)
    user, home, *arguments = (hadoop_home / "calls").read_text().split()
    assert (user, home) == (USER, pwd.getpwnam(USER).pw_dir)
    assert arguments[:-1] == ["fs", "-copyToLocal", URI]


def test_what_is_cached_is_fetched_from_hadoop_once(scheduler: Scheduler, hadoop_home: Path) -> None:
    for _ in range(2):
        read_greeting(scheduler, cache=True)
    calls = (hadoop_home / "calls").read_text()
    assert calls.count(f"fs -du {URI}") == calls.count(f"fs -copyToLocal {URI}") == 1
