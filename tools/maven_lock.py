#!/usr/bin/env python3
"""Renew playbooks/vars/ARCHIVE_archive.yml: the jars of an archive, resolved by Maven, with their digests.

    tools/maven_lock.py zookeeper VERSION        # needs mvn; 3.9.4, for example
    tools/maven_lock.py hadoop VERSION           # 3.4.3, for example

The projects' own binary archives are not on Maven Central, but all of their jars are. ARCHIVES says which jars make an
archive; Maven finds what these depend on.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

VARIABLES = Path(__file__).resolve().parents[1] / "playbooks" / "vars"
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
HEADER = """\
# The jars of which playbooks/artifacts.yml puts together {purpose}.
# Made by tools/maven_lock.py {name} {version}
artifacts_{name}_version: {version}
artifacts_{name}_jars:
"""
# A line of dependency:tree: groupId:artifactId:packaging[:classifier]:version:scope, indented by three characters a
# level.
NODE = re.compile(r"^(?P<indent>[ |+\\-]+)(?P<coordinates>[\w.-]+(?::[\w.-]+)+)$")


@dataclass(frozen=True)
class Archive:
    """What an archive consists of."""

    purpose: str
    """What the lock file says that it is for."""
    parent: str
    """The project's parent, by groupId:artifactId, which manages the versions of all others."""
    released: dict[str, str]
    """Jars of the project's own version by groupId:artifactId[:packaging:classifier], each with its folder."""
    managed: dict[str, str]
    """Jars of the version that the parent says, likewise."""
    left_out: str = "(?!)"
    """Expression for names of files that are not needed."""


ARCHIVES = {
    # From zookeeper-assembly's pom.xml of 3.9: the server, the Prometheus metrics and what the server declares as
    # provided.
    "zookeeper": Archive(
        purpose="ZooKeeper's archive where zookeeper_distribution is archive",
        parent="org.apache.zookeeper:parent",
        released={"org.apache.zookeeper:zookeeper": "", "org.apache.zookeeper:zookeeper-prometheus-metrics": ""},
        managed={
            "ch.qos.logback:logback-classic": "",
            "commons-cli:commons-cli": "",
            "org.eclipse.jetty:jetty-server": "",
            "org.eclipse.jetty:jetty-servlet": "",
            "com.fasterxml.jackson.core:jackson-databind": "",
            "jline:jline": "",
            "io.dropwizard.metrics:metrics-core": "",
            "org.xerial.snappy:snappy-java": "",
        },
    ),
    # HDFS without YARN and MapReduce, in the folders of the official archive's share/hadoop. The web pages of the
    # servers are on Maven Central in the jar of tests only, of which nothing else is taken.
    "hadoop": Archive(
        purpose="Hadoop's archive: HDFS, its servers and its client",
        parent="org.apache.hadoop:hadoop-project",
        released={
            "org.apache.hadoop:hadoop-common": "common",
            "org.apache.hadoop:hadoop-auth": "common/lib",
            "org.apache.hadoop:hadoop-annotations": "common/lib",
            "org.apache.hadoop:hadoop-hdfs-client": "hdfs",
            "org.apache.hadoop:hadoop-hdfs": "hdfs",
            "org.apache.hadoop:hadoop-hdfs:jar:tests": "webapps",
        },
        managed={"org.slf4j:slf4j-reload4j": "common/lib"},
        left_out="kqueue|macos|osx|aarch_64|riscv64",
    ),
}


@dataclass(frozen=True)
class Jar:
    """A jar, as Maven resolved it."""

    project: str
    version: str
    file: str
    folder: str


def dependency(coordinates: str, version: str = "", rest: str = "") -> str:
    """Return a <dependency> element for groupId:artifactId[:packaging:classifier]."""
    tags = ("groupId", "artifactId", "type", "classifier")
    element = "".join(f"<{tag}>{text}</{tag}>" for tag, text in zip(tags, coordinates.split(":"), strict=False))
    return f"<dependency>{element}{f'<version>{version}</version>' if version else ''}{rest}</dependency>"


def project(archive: Archive, version: str) -> str:
    """Return the pom.xml of a project with the dependencies of an archive."""
    parent = dependency(archive.parent, version, "<type>pom</type><scope>import</scope>")
    direct = [dependency(coordinates, version) for coordinates in archive.released]
    direct += [dependency(coordinates) for coordinates in archive.managed]
    return (
        "<project><modelVersion>4.0.0</modelVersion><groupId>scoreyard</groupId><artifactId>archive</artifactId>"
        f"<version>{version}</version><packaging>pom</packaging><dependencyManagement><dependencies>{parent}"
        f"</dependencies></dependencyManagement><dependencies>{''.join(direct)}</dependencies></project>"
    )


def parse(tree: str, archive: Archive) -> list[Jar]:
    """Return the jars of a dependency tree, sorted by file name; what a jar brings goes to the folder lib beside it."""
    folders = archive.released | archive.managed
    jars = []
    below = ""
    for match in filter(None, map(NODE.match, tree.splitlines())):
        group, name, packaging, *classifier, release, _scope = match["coordinates"].split(":")
        coordinates = ":".join([group, name, *([packaging, *classifier] if classifier else [])])
        folder = below
        if len(match["indent"]) == 3:
            folder = folders[coordinates]
            below = folder if folder == "" or folder.endswith("lib") else f"{folder}/lib"
        file = f"{'-'.join([name, release, *classifier])}.{packaging}"
        if not re.search(archive.left_out, file):
            jars.append(Jar(coordinates, release, file, folder))
    return sorted(jars, key=lambda jar: jar.file)


def scalar(text: str) -> str:
    """Return a string as YAML; a version like 1.10 would be a number without quotes."""
    return text if isinstance(yaml.safe_load(text), str) else f'"{text}"'


def lock(name: str, version: str) -> str:
    """Return the lock file of a version of an archive."""
    archive = ARCHIVES[name]
    lines = [HEADER.format(purpose=archive.purpose, name=name, version=version)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "pom.xml").write_text(project(archive, version))
        tree = [f"{PLUGIN}:tree", f"-DoutputFile={folder / 'tree'}", "-Dscope=runtime"]
        copy = [f"{PLUGIN}:copy-dependencies", f"-DoutputDirectory={folder / 'lib'}", "-DincludeScope=runtime"]
        command = ["mvn", "--batch-mode", "--quiet", "--file", str(folder / "pom.xml")]
        for arguments in (tree, copy):
            subprocess.run([*command, *arguments], check=True, stdout=sys.stderr)
        for jar in parse((folder / "tree").read_text(), archive):
            fields = {
                "name": "/".join(filter(None, [name, jar.folder, jar.file])),
                "version": jar.version,
                "registry": "maven",
                "project": jar.project,
                "file": jar.file,
                "sha256": hashlib.sha256((folder / "lib" / jar.file).read_bytes()).hexdigest(),
            }
            lines.append("  - " + "\n    ".join(f"{key}: {scalar(value)}" for key, value in fields.items()) + "\n")
    return "".join(lines)


def main() -> int:
    """Write the lock file of one version."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", choices=ARCHIVES)
    parser.add_argument("version", help="a version that Maven Central has in full")
    arguments = parser.parse_args()
    if shutil.which("mvn") is None:
        parser.error("there is no command mvn: install Debian's package maven")
    (VARIABLES / f"{arguments.archive}_archive.yml").write_text(lock(arguments.archive, arguments.version))
    return 0


if __name__ == "__main__":
    sys.exit(main())
