#!/usr/bin/env python3
"""List everything that a site without internet must bring: artifacts, Python packages, Debian packages.

    artifacts_list.py

All of it is read from where the playbooks and roles have it: playbooks/vars, the lock files, the roles' defaults.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import yaml

HOUSE = Path(__file__).resolve().parents[1]
VARIABLES = HOUSE / "playbooks" / "vars"
LOCKED = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>\S+) \\$")
HASH = re.compile(r"--hash=sha256:(?P<sha256>[0-9a-f]{64})")


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    name: str
    version: str
    registry: str
    file: str
    sha256: str


def listed() -> list[Row]:
    """Return the artifacts of playbooks/vars, without those that are built of the others."""
    data = yaml.safe_load((VARIABLES / "artifacts.yml").read_text())["artifacts"]
    for name in ("hadoop", "zookeeper"):
        data += yaml.safe_load((VARIABLES / f"{name}_archive.yml").read_text())[f"artifacts_{name}_jars"]
    return [Row(*(item[field] for field in Row.__annotations__)) for item in data if item["registry"] != "built"]


def locked(lock: Path, wheels: Path | None = None) -> Iterator[Row]:
    """Yield what a lock file of pip has: with the file and its digest where the archive of wheels holds one of it."""
    held: dict[str, str] = {}
    if wheels and wheels.exists():
        with tarfile.open(wheels) as archive:
            for member in archive.getmembers():
                content = archive.extractfile(member)
                if content:
                    held[hashlib.sha256(content.read()).hexdigest()] = Path(member.name).name
    rows: list[tuple[str, str, list[str]]] = []
    for line in lock.read_text().splitlines():
        if requirement := LOCKED.match(line):
            rows.append((requirement["name"], requirement["version"], []))
        elif found := HASH.search(line):
            rows[-1][2].append(found["sha256"])
    for name, version, digests in rows:
        digest = next((digest for digest in digests if digest in held), "")
        yield Row(name, version, "pypi", held.get(digest, "any of the lock's"), digest or str(lock.relative_to(HOUSE)))


def apt_names(node: Any) -> Iterator[str]:
    """Yield the packages that the apt tasks in a playbook or task file install."""
    if isinstance(node, list):
        for item in node:
            yield from apt_names(item)
    elif isinstance(node, dict):
        if isinstance(task := node.get("ansible.builtin.apt"), dict):
            names = task.get("name", [])
            yield from [names] if isinstance(names, str) else names
        for key in ("tasks", "block", "rescue", "always"):
            yield from apt_names(node.get(key))


def debian(cache: Path) -> dict[str, list[str]]:
    """Return the Debian packages by who installs them; what a package in the cache depends on, too."""
    control: set[str] = {"python3-venv"}
    for file in [*(HOUSE / "playbooks").glob("*.yml"), *(HOUSE / "playbooks" / "tasks").glob("*.yml")]:
        control |= {name for name in apt_names(yaml.safe_load(file.read_text())) if "{{" not in name}
    packages = {"control machine": sorted(control)}
    for defaults in sorted((HOUSE / "roles").glob("*/defaults/main.yml")):
        role = defaults.parents[1].name
        names = (yaml.safe_load(defaults.read_text()) or {}).get(f"{role}_packages")
        if names:
            packages[f"role {role}"] = names
    for package in sorted(cache.glob("*.deb")):
        depends = ["dpkg-deb", "--field", str(package), "Depends"]
        field = subprocess.run(depends, capture_output=True, text=True, check=True).stdout
        packages[f"package {package.name}"] = [re.split(r"[ :]", name)[0] for name in field.strip().split(", ")]
    return packages


def table(rows: list[Row]) -> str:
    """Return rows in aligned columns, with a head."""
    cells = [("NAME", "VERSION", "REGISTRY", "FILE", "SHA-256"), *(astuple(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    return "\n".join("  ".join([*(f"{row[i]:<{widths[i]}}" for i in range(4)), row[4]]) for row in cells)


def main() -> int:
    """Print the list."""
    cache = HOUSE / ".cache" / "artifacts"
    print("Artifacts (those named zookeeper/ only where zookeeper_distribution is archive)\n")
    print(table(listed()))
    print("\nWheels of the worker, for Python 3.11 on Linux x86_64\n")
    print(table(list(locked(HOUSE / "pmml_worker" / "requirements.lock", cache / "pmml-worker-wheels.tar"))))
    print("\nPython packages that build the worker's wheel\n")
    print(table(list(locked(HOUSE / "pmml_worker" / "build-requirements.lock"))))
    print("\nPython packages of the control machine\n")
    print(table(list(locked(HOUSE / "requirements.txt"))))
    print("\nPython packages of the tests\n")
    print(table(list(locked(HOUSE / "requirements-test.txt"))))
    print("\nDebian packages, each with what it depends on\n")
    for owner, packages in debian(cache).items():
        print(f"{owner}: {' '.join(packages)}")
    print(
        "\nWhat is built of these needs not be built there: the folder .cache/artifacts of a machine where "
        "`make artifacts` ran can be carried along."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
