"""images/hadoop: the scripts start the JVM as the official ones do, seen with a java that shows how it was called."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from house import HOUSE

JAVA = """#!/bin/sh
echo "pid $$"
echo "classpath $CLASSPATH"
echo "home $HADOOP_HOME"
echo "conf $HADOOP_CONF_DIR"
for argument in "$@"; do echo "argument $argument"; done
"""


@dataclass(frozen=True)
class Done:
    """What a script did."""

    pid: int
    returncode: int
    stdout: str
    stderr: str

    def shown(self, name: str) -> list[str]:
        """Return the values of a name that the java of the tests shows."""
        prefix = f"{name} "
        return [line.removeprefix(prefix) for line in self.stdout.splitlines() if line.startswith(prefix)]

    @property
    def arguments(self) -> list[str]:
        """The arguments of the JVM."""
        return self.shown("argument")


@dataclass(frozen=True)
class Installation:
    """An unpacked archive without jars, and a Java runtime."""

    home: Path
    java_home: Path

    def run(self, program: str | Path, *arguments: str, **environment: str) -> Done:
        """Run one of its scripts."""
        command = [str(self.home / "bin" / program), *arguments]
        variables = {"PATH": os.environ["PATH"], "JAVA_HOME": str(self.java_home)} | environment
        with subprocess.Popen(
            command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            stdout, stderr = process.communicate()
        return Done(process.pid, process.returncode, stdout, stderr)


@pytest.fixture
def hadoop(tmp_path: Path) -> Installation:
    home = tmp_path / "hadoop-3.4"
    for name in ("bin", "etc", "libexec"):
        shutil.copytree(HOUSE / "images" / "hadoop" / name, home / name)
    java = tmp_path / "jvm" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(JAVA)
    java.chmod(0o755)
    return Installation(home, tmp_path / "jvm")


@pytest.mark.parametrize(
    ("program", "command", "name"),
    [
        ("hdfs", "dfs", "org.apache.hadoop.fs.FsShell"),
        ("hadoop", "fs", "org.apache.hadoop.fs.FsShell"),
        ("hdfs", "namenode", "org.apache.hadoop.hdfs.server.namenode.NameNode"),
        ("hdfs", "zkfc", "org.apache.hadoop.hdfs.tools.DFSZKFailoverController"),
        ("hdfs", "org.example.Tool", "org.example.Tool"),
    ],
)
def test_a_command_runs_its_class_with_the_arguments_as_they_are(
    hadoop: Installation, program: str, command: str, name: str
) -> None:
    done = hadoop.run(program, command, "-ls", "a b", "*")
    assert done.arguments[-4:] == [name, "-ls", "a b", "*"]
    assert f"-Dproc_{command}" in done.arguments


def test_the_jvm_is_the_process_that_was_started(hadoop: Installation) -> None:
    done = hadoop.run("hdfs", "namenode")
    assert done.shown("pid") == [str(done.pid)]


def test_the_home_is_found_through_links(hadoop: Installation, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(hadoop.home)
    (tmp_path / "hdfs").symlink_to(tmp_path / "current" / "bin" / "hdfs")
    done = hadoop.run(tmp_path / "hdfs", "dfs", HADOOP_HOME="/elsewhere")
    assert done.shown("home") == [str(hadoop.home)]


def test_the_class_path_has_the_configuration_first_and_the_user_s_classes_last(hadoop: Installation) -> None:
    (path,) = hadoop.run("hdfs", "dfs", HADOOP_CONF_DIR="/conf", HADOOP_CLASSPATH="/own/*").shown("classpath")
    share = hadoop.home / "share" / "hadoop"
    jars = [f"{share}/{name}" for name in ("common/lib/*", "common/*", "hdfs", "hdfs/lib/*", "hdfs/*")]
    assert path.split(":") == ["/conf", *jars, "/own/*", f"{hadoop.home}/libexec"]


def test_the_user_s_classes_come_first_on_demand(hadoop: Installation) -> None:
    environment = {"HADOOP_CLASSPATH": "/own", "HADOOP_USER_CLASSPATH_FIRST": "true"}
    assert hadoop.run("hadoop", "classpath", **environment).stdout.startswith("/own:")


def test_a_configuration_of_the_command_line_counts_more_than_the_environment_s(
    hadoop: Installation, tmp_path: Path
) -> None:
    done = hadoop.run("hdfs", "--config", str(tmp_path), "dfs", HADOOP_CONF_DIR="/conf")
    assert done.shown("conf") == [str(tmp_path)]


def test_settings_of_the_configuration_s_hadoop_env_are_taken(hadoop: Installation, tmp_path: Path) -> None:
    (tmp_path / "hadoop-env.sh").write_text('echo $UNSET\nfalse\nexport HADOOP_OPTS="-Da=1 -Db=2"\n')
    done = hadoop.run("hdfs", "dfs", HADOOP_CONF_DIR=str(tmp_path))
    assert {"-Da=1", "-Db=2"} <= set(done.arguments)


def test_options_for_the_command_win_over_those_for_all(hadoop: Installation) -> None:
    environment = {"HADOOP_OPTS": "-Dall", "HDFS_NAMENODE_OPTS": "-Xmx1g -Dname", "HDFS_DATANODE_OPTS": "-Ddata"}
    arguments = hadoop.run("hdfs", "namenode", HADOOP_CLIENT_OPTS="-Dclient", **environment).arguments
    assert arguments[-4:-1] == ["-Dall", "-Xmx1g", "-Dname"]
    assert {"-Ddata", "-Dclient"}.isdisjoint(arguments)


def test_client_options_are_the_client_s(hadoop: Installation) -> None:
    assert "-Dclient" in hadoop.run("hadoop", "fs", HADOOP_CLIENT_OPTS="-Dclient").arguments


@pytest.mark.parametrize(("size", "option"), [("512", "-Xmx512m"), ("2g", "-Xmx2g")])
def test_a_heap_size_without_unit_is_in_mebibytes(hadoop: Installation, size: str, option: str) -> None:
    assert option in hadoop.run("hdfs", "datanode", HADOOP_HEAPSIZE_MAX=size).arguments


@pytest.mark.parametrize(
    ("arguments", "environment", "logger"),
    [
        (["dfs"], {}, "WARN,console"),
        (["namenode"], {}, "INFO,console"),
        (["dfs"], {"HADOOP_ROOT_LOGGER": "INFO,file"}, "INFO,file"),
        (["--loglevel", "DEBUG", "dfs"], {"HADOOP_ROOT_LOGGER": "INFO,file"}, "DEBUG,console"),
        (["--loglevel", "ERROR", "namenode"], {}, "ERROR,console"),
    ],
)
def test_clients_log_warnings_and_servers_more_unless_told_otherwise(
    hadoop: Installation, arguments: list[str], environment: dict[str, str], logger: str
) -> None:
    assert f"-Dhadoop.root.logger={logger}" in hadoop.run("hdfs", *arguments, **environment).arguments


@pytest.mark.parametrize(
    ("program", "arguments", "message"),
    [
        ("hdfs", ["dsf"], "dsf is not a command of hdfs, nor the name of a class"),
        ("hdfs", [], "no command is given"),
        ("hdfs", ["--workers", "dfs"], "--workers is not an option of hdfs"),
        ("hdfs", ["--config", "/absent", "dfs"], "--config /absent: there is no such folder"),
        ("hdfs", ["--loglevel"], "--loglevel needs a level"),
        ("hdfs", ["--daemon", "start", "namenode"], "a service manager starts and stops daemons"),
        ("hdfs", ["dfsrouter"], "hdfs dfsrouter is not part of this archive"),
        ("hadoop", ["distcp", "a", "b"], "hadoop distcp needs MapReduce"),
        ("hadoop", ["dfsadmin", "-report"], "dfsadmin is a command of hdfs: hdfs dfsadmin"),
    ],
)
def test_what_is_not_understood_is_named_and_nothing_runs(
    hadoop: Installation, program: str, arguments: list[str], message: str
) -> None:
    done = hadoop.run(program, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr


def test_a_missing_java_is_named_with_the_remedy(hadoop: Installation) -> None:
    done = hadoop.run("hdfs", "dfs", JAVA_HOME="/absent")
    assert done.returncode == 1
    assert "there is no /absent/bin/java: install a Java runtime, or set JAVA_HOME" in done.stderr


@pytest.mark.parametrize("program", ["hdfs", "hadoop"])
@pytest.mark.parametrize("option", ["--help", "-help", "-h"])
def test_help_is_no_error(hadoop: Installation, program: str, option: str) -> None:
    done = hadoop.run(program, option)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: {program} ")


def test_the_settings_are_shown(hadoop: Installation) -> None:
    shown = hadoop.run("hdfs", "envvars", HADOOP_CONF_DIR="/conf").stdout.splitlines()
    assert {f"HADOOP_HOME='{hadoop.home}'", "HADOOP_CONF_DIR='/conf'", f"JAVA_HOME='{hadoop.java_home}'"} <= set(shown)
