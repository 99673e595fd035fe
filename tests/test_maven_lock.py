"""tools/maven_lock.py: what Maven resolves becomes a list of jars, each in its folder."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest
import yaml

from house import HOUSE
from maven_lock import ARCHIVES, Archive, Jar, parse, project, scalar

ARCHIVE = Archive(
    purpose="a test",
    parent="org.example:parent",
    released={"org.example:server": "server", "org.example:server:jar:tests": "pages"},
    managed={"org.log:log": "server/lib"},
    left_out="osx",
)
TREE = """\
scoreyard:archive:pom:1.0
+- org.example:server:jar:1.0:compile
|  +- org.net:net:jar:linux-x86_64:2.1:runtime
|  |  \\- org.net:common:jar:2.1:compile
|  \\- org.net:net:jar:osx-x86_64:2.1:runtime
+- org.example:server:jar:tests:1.0:compile
\\- org.log:log:jar:1.2.3:compile
   \\- org.log:api:jar:1.2:compile
"""


def lock_file(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((HOUSE / "playbooks" / "vars" / f"{name}_archive.yml").read_text())
    return content


def test_a_jar_is_in_its_folder_and_what_it_brings_in_lib_beside_it() -> None:
    assert parse(TREE, ARCHIVE) == [
        Jar("org.log:api", "1.2", "api-1.2.jar", "server/lib"),
        Jar("org.net:common", "2.1", "common-2.1.jar", "server/lib"),
        Jar("org.log:log", "1.2.3", "log-1.2.3.jar", "server/lib"),
        Jar("org.net:net:jar:linux-x86_64", "2.1", "net-2.1-linux-x86_64.jar", "server/lib"),
        Jar("org.example:server:jar:tests", "1.0", "server-1.0-tests.jar", "pages"),
        Jar("org.example:server", "1.0", "server-1.0.jar", "server"),
    ]


def test_maven_is_asked_for_the_released_jars_by_version_and_for_the_others_by_the_parent() -> None:
    root = ET.fromstring(project(ARCHIVE, "1.0"))
    asked = [[field.text for field in dependency] for dependency in root.findall("dependencies/dependency")]
    assert asked == [
        ["org.example", "server", "1.0"],
        ["org.example", "server", "jar", "tests", "1.0"],
        ["org.log", "log"],
    ]
    assert root.findtext("dependencyManagement/dependencies/dependency/scope") == "import"


@pytest.mark.parametrize("name", ARCHIVES)
def test_the_lock_file_has_what_makes_the_archive_and_every_digest(name: str) -> None:
    lock = lock_file(name)
    jars = lock[f"artifacts_{name}_jars"]
    folders = ARCHIVES[name].released | ARCHIVES[name].managed
    assert folders.keys() <= {jar["project"] for jar in jars}
    assert {jar["version"] for jar in jars if jar["project"] in ARCHIVES[name].released} == {
        lock[f"artifacts_{name}_version"]
    }
    assert all(len(jar["sha256"]) == 64 and jar["registry"] == "maven" for jar in jars)
    assert len({jar["file"] for jar in jars}) == len(jars)
    assert [jar["version"] for jar in jars if jar["version"] not in jar["file"]] == []


def test_a_version_stays_a_string() -> None:
    assert [yaml.safe_load(scalar(version)) for version in ("1.10", "1.10.0", "2")] == ["1.10", "1.10.0", "2"]


def test_the_archive_of_hadoop_has_the_version_of_its_lock_file() -> None:
    artifacts = yaml.safe_load((HOUSE / "playbooks" / "vars" / "artifacts.yml").read_text())["artifacts"]
    version = lock_file("hadoop")["artifacts_hadoop_version"]
    assert {"name": "hadoop", "version": version, "registry": "built", "file": f"hadoop-{version}.tar.gz"} in artifacts
