"""Promises that hold for the repository as a whole."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

import artifacts_list
from house import HOUSE

REGISTRY_HOST = re.compile(r"://[a-z0-9.-]*(pypi|pythonhosted|npmjs|maven|debian)[a-z0-9.-]*[/: ]")


def tracked() -> list[Path]:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=HOUSE, capture_output=True, text=True, check=True).stdout
    return [path for name in names.split("\0") if name and (path := HOUSE / name).is_file()]


def commands() -> set[str]:
    phony = re.search(r"^\.PHONY: (.*)$", (HOUSE / "Makefile").read_text(), re.MULTILINE)
    assert phony
    return set(phony[1].split())


def make(*arguments: str) -> str:
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=HOUSE, capture_output=True, text=True, check=True).stdout


def test_no_file_names_the_host_of_a_package_registry() -> None:
    found = [str(path) for path in tracked() if REGISTRY_HOST.search(path.read_text(errors="ignore"))]
    assert found == []


def test_make_without_a_target_lists_every_command() -> None:
    listed = {line.split()[0] for line in make().splitlines()}
    assert listed == commands()


@pytest.mark.parametrize("name", ["artifacts.yml", "hadoop_archive.yml", "zookeeper_archive.yml"])
def test_every_listed_artifact_has_a_digest_and_a_file_of_its_own(name: str) -> None:
    lists = yaml.safe_load((HOUSE / "playbooks" / "vars" / name).read_text()).values()
    items = [item for value in lists if isinstance(value, list) for item in value]
    assert len({item["file"] for item in items}) == len(items)
    fetched = [item for item in items if item["registry"] != "built"]
    assert fetched
    assert [item["name"] for item in fetched if not re.fullmatch(r"[0-9a-f]{64}", item["sha256"])] == []


def test_every_locked_requirement_has_a_digest() -> None:
    locks = [*HOUSE.glob("requirements*.txt"), *(HOUSE / "pmml_worker").glob("*.lock")]
    assert len(locks) == 4
    for lock in locks:
        lines = [line for line in lock.read_text().splitlines() if re.match(r"[a-z]", line)]
        assert lines
        assert [line for line in lines if not artifacts_list.LOCKED.match(line)] == []


def test_the_list_for_a_site_without_internet_has_all_that_is_locked_or_declared() -> None:
    output = subprocess.run([HOUSE / "tools" / "artifacts_list.py"], capture_output=True, text=True, check=True).stdout
    for row in artifacts_list.listed():
        assert re.search(rf"^{re.escape(row.name)} .* {re.escape(row.file)} +{row.sha256}$", output, re.MULTILINE)
    for name in ("pyarrow", "ansible-core"):
        assert re.search(rf"^{name} +\d", output, re.MULTILINE)
    assert "role java: openjdk-17-jre-headless" in output
    assert re.search(r"^control machine: .*docker\.io.* mmdebstrap", output, re.MULTILINE)
