"""The archive as users and service managers call it: servers, clients, administration, web pages."""

from __future__ import annotations

import os
import re
import subprocess
import zipfile
from pathlib import Path

import pytest
from single_node import Hadoop


def commands(home: Path, program: str) -> list[str]:
    usage = subprocess.run([home / "bin" / program, "--help"], capture_output=True, text=True, check=True).stdout
    return re.findall(r"^  (\w+)  ", usage, re.MULTILINE)


@pytest.mark.parametrize("program", ["hdfs", "hadoop"])
def test_every_command_of_the_usage_names_a_class_of_the_archive(home: Path, tmp_path: Path, program: str) -> None:
    held: set[str] = set()
    for jar in home.glob("share/hadoop/*/hadoop-*.jar"):
        with zipfile.ZipFile(jar) as archive:
            held |= {name.removesuffix(".class").replace("/", ".") for name in archive.namelist()}
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text('#!/bin/sh\necho "$@"\n')
    java.chmod(0o755)
    listed = [name for name in commands(home, program) if name not in ("envvars", "jnipath")]
    assert len(listed) > 10
    for name in listed:
        # An argument, because the class path without one needs no JVM.
        command = [str(home / "bin" / program), name, "argument"]
        output = subprocess.run(
            command, env=os.environ | {"JAVA_HOME": str(tmp_path)}, capture_output=True, text=True, check=True
        ).stdout
        assert output.split()[-2] in held, name


def test_a_file_is_written_and_read_back(hadoop: Hadoop, tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "file").write_bytes(content)
    hadoop.run("hdfs", "dfs", "-mkdir", "-p", "/data")
    hadoop.run("hdfs", "dfs", "-put", tmp_path / "file", "/data/file")
    hadoop.run("hadoop", "fs", "-copyToLocal", "/data/file", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content
    listed = hadoop.run("hdfs", "dfs", "-ls", "/data")
    assert re.search(r" 3000000 .* /data/file$", listed.stdout, re.MULTILINE)
    # Neither a missing native library nor anything else that is well is worth a line to a user.
    assert listed.stderr == ""


def test_the_file_system_is_healthy(hadoop: Hadoop) -> None:
    assert "Status: HEALTHY" in hadoop.run("hdfs", "fsck", "/").stdout


def test_the_administrator_sees_the_data_node_and_changes_safe_mode(hadoop: Hadoop) -> None:
    assert "Live datanodes (1):" in hadoop.run("hdfs", "dfsadmin", "-report").stdout
    assert "ON" in hadoop.run("hdfs", "dfsadmin", "-safemode", "enter").stdout
    refused = hadoop.call("hdfs", "dfs", "-mkdir", "/refused")
    hadoop.run("hdfs", "dfsadmin", "-safemode", "leave")
    assert refused.returncode == 1
    assert "Name node is in safe mode" in refused.stderr


def test_high_availability_is_explained_and_refused_without_it(hadoop: Hadoop) -> None:
    assert "-failover" in hadoop.run("hdfs", "haadmin", "-help").stdout
    done = hadoop.call("hdfs", "haadmin", "-getServiceState", "nn1")
    assert done.returncode != 0
    assert "Unable to determine the name service ID" in done.stderr


def test_the_balancer_finds_a_balanced_cluster(hadoop: Hadoop) -> None:
    assert "The cluster is balanced. Exiting..." in hadoop.run("hdfs", "balancer").stdout


def test_the_configuration_can_be_asked_for(hadoop: Hadoop) -> None:
    assert hadoop.run("hdfs", "getconf", "-namenodes").stdout == "localhost\n"
    assert hadoop.run("hdfs", "groups", "root").stdout == "root : root\n"


def test_the_web_pages_are_those_of_the_project(hadoop: Hadoop) -> None:
    for page in (
        "/dfshealth.html",
        "/explorer.html",
        "/static/hadoop.css",
        "/static/bootstrap-3.4.1/css/bootstrap.css",
    ):
        assert hadoop.get(page)
    assert b"Namenode information" in hadoop.get("/dfshealth.html")
    assert b'"FileStatuses"' in hadoop.get("/webhdfs/v1/?op=LISTSTATUS")


def test_offline_tools_read_what_the_name_node_wrote(hadoop: Hadoop, tmp_path: Path) -> None:
    hadoop.run("hdfs", "dfsadmin", "-fetchImage", tmp_path)
    (image,) = tmp_path.glob("fsimage_*")
    output = tmp_path / "image.xml"
    hadoop.run("hdfs", "oiv", "-p", "XML", "-i", image, "-o", output)
    assert "<fsimage>" in output.read_text()


def test_a_class_runs_by_its_name_with_classes_of_the_user(hadoop: Hadoop) -> None:
    assert hadoop.run("hadoop", "org.apache.hadoop.util.VersionInfo").stdout == hadoop.run("hadoop", "version").stdout
    assert hadoop.call("hadoop", "org.example.Missing").returncode == 1
