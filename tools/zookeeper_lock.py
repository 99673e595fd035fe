#!/usr/bin/env python3
"""Renew playbooks/vars/zookeeper_archive.yml: the jars of a ZooKeeper version, resolved by Maven, with their digests.

    tools/zookeeper_lock.py VERSION        # needs mvn; 3.9.4, for example

ZooKeeper's binary archive is not on Maven Central, but all jars of its lib folder are. Which ones these are, its module
zookeeper-assembly says: the server, the Prometheus metrics and what the server declares as provided.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

OUTPUT = Path(__file__).resolve().parents[1] / "playbooks" / "vars" / "zookeeper_archive.yml"
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
ZOOKEEPER = "org.apache.zookeeper"
# From zookeeper-assembly's pom.xml of 3.9; versions are those of ZooKeeper's parent.
PROVIDED = (
    "ch.qos.logback:logback-classic",
    "commons-cli:commons-cli",
    "org.eclipse.jetty:jetty-server",
    "org.eclipse.jetty:jetty-servlet",
    "com.fasterxml.jackson.core:jackson-databind",
    "jline:jline",
    "io.dropwizard.metrics:metrics-core",
    "org.xerial.snappy:snappy-java",
)
HEADER = """\
# The jars of which playbooks/artifacts.yml puts together ZooKeeper's archive where zookeeper_distribution is archive.
# Made by tools/zookeeper_lock.py {version}
artifacts_zookeeper_version: {version}
artifacts_zookeeper_jars:
"""
RESOLVED = re.compile(r"^ +(?P<coordinates>[\w.-]+(?::[\w.-]+)+)", re.MULTILINE)


def dependency(coordinates: str, version: str = "", rest: str = "") -> str:
    """Return a <dependency> element for groupId:artifactId."""
    group, name = coordinates.split(":")
    element = f"<groupId>{group}</groupId><artifactId>{name}</artifactId>"
    return f"<dependency>{element}{f'<version>{version}</version>' if version else ''}{rest}</dependency>"


def project(version: str) -> str:
    """Return the pom.xml of a project with the dependencies of ZooKeeper's archive."""
    parent = dependency(f"{ZOOKEEPER}:parent", version, "<type>pom</type><scope>import</scope>")
    direct = [dependency(f"{ZOOKEEPER}:{name}", version) for name in ("zookeeper", "zookeeper-prometheus-metrics")]
    direct += [dependency(coordinates) for coordinates in PROVIDED]
    return (
        "<project><modelVersion>4.0.0</modelVersion><groupId>scoreyard</groupId><artifactId>zookeeper-archive</artifactId>"
        f"<version>{version}</version><packaging>pom</packaging><dependencyManagement><dependencies>{parent}"
        f"</dependencies></dependencyManagement><dependencies>{''.join(direct)}</dependencies></project>"
    )


def resolve(version: str) -> list[dict[str, str]]:
    """Return the jars as artifacts, sorted by file name."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "pom.xml").write_text(project(version))
        goals = [f"{PLUGIN}:list", f"-DoutputFile={folder / 'list'}", "-Dsort=true", "-DincludeScope=runtime"]
        copy = [f"{PLUGIN}:copy-dependencies", f"-DoutputDirectory={folder / 'lib'}", "-DincludeScope=runtime"]
        for arguments in (goals, copy):
            subprocess.run(
                ["mvn", "--batch-mode", "--quiet", "--file", folder / "pom.xml", *arguments],
                check=True,
                stdout=sys.stderr,
            )
        jars = []
        for match in RESOLVED.finditer((folder / "list").read_text()):
            # groupId:artifactId:packaging[:classifier]:version:scope
            group, name, packaging, *classifier, release, _scope = match["coordinates"].split(":")
            file = f"{'-'.join([name, release, *classifier])}.{packaging}"
            jars.append(
                {
                    "name": f"zookeeper/{file}",
                    "version": release,
                    "registry": "maven",
                    "project": ":".join([group, name, *([packaging, *classifier] if classifier else [])]),
                    "file": file,
                    "sha256": hashlib.sha256((folder / "lib" / file).read_bytes()).hexdigest(),
                }
            )
        return sorted(jars, key=lambda jar: jar["file"])


def main() -> int:
    """Write the list of one version."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", help="a version that Maven Central has in full")
    version = parser.parse_args().version
    if shutil.which("mvn") is None:
        parser.error("there is no command mvn: install Debian's package maven")
    lines = [HEADER.format(version=version)]
    for jar in resolve(version):
        lines.append("  - " + "\n    ".join(f"{key}: {value}" for key, value in jar.items()) + "\n")
    OUTPUT.write_text("".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
