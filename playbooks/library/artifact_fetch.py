#!/usr/bin/python
"""Ansible module: fetch artifacts by their registries' own clients into a cache, and verify them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: artifact_fetch
short_description: Fetch artifacts from immutable registries into a cache, verified
description:
  - Puts every artifact of a list into a directory of the machine that it runs on, each verified by its SHA-256.
  - A file that is there with the right digest is left alone, and then no network is used.
  - A file is renamed into place only after it was verified, so an interrupted or wrong download is never left there.
  - Files of PyPI are fetched by the client pypi-simple, those of Maven repositories by C(mvn); both follow the
    settings of the machine (for pypi-simple the environment variable E(PIP_INDEX_URL)).
author: Scoreyard
options:
  artifacts:
    description: What to fetch.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the artifact, for messages and O(overrides).
        type: str
        required: true
      version:
        description: Version of the artifact.
        type: str
        default: ""
      registry:
        description: The kind of registry that has it; what is V(built) here is fetched only where O(overrides) has it.
        type: str
        choices: [pypi, maven, built]
        required: true
      project:
        description: The project's name at PyPI, or C(groupId:artifactId[:packaging[:classifier]]) at Maven.
        type: str
        default: ""
      file:
        description: Name of the file, at PyPI and in the cache.
        type: str
        required: true
      sha256:
        description: SHA-256 of the file in hexadecimal digits; needed for all but what is built.
        type: str
        default: ""
  directory:
    description: The cache; made if it does not exist.
    type: path
    required: true
  overrides:
    description:
      - A site's own files by the artifact's name, each a dictionary of C(source), a path or URL, and C(sha256).
      - The file is put into the cache under the name that it replaces.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
"""

EXAMPLES = r"""
- name: Fetch the artifacts
  artifact_fetch:
    directory: .cache/artifacts
    artifacts:
      - name: mesos.scheduler
        version: 1.11.0
        registry: pypi
        project: mesos.scheduler
        file: mesos.scheduler-1.11.0.linux-x86_64.tar.gz
        sha256: 1d376f20bca6d05ee8b90c1c123a452b28753497ccc2f1c80ea3ac94c12e8f6e
"""

RETURN = r"""
fetched:
  description: Names of the artifacts that were fetched (in check mode, that would be).
  returned: always
  type: list
  elements: str
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url

MAVEN_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"


class ArtifactError(Exception):
    """An artifact cannot be had; the message names it and says what to do."""


@dataclass(frozen=True)
class Artifact:
    """A file of a registry, or of the site's own where source is set."""

    name: str
    version: str
    registry: str
    project: str
    file: str
    sha256: str
    source: str | None = None


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def override(artifact: Artifact, overrides: Mapping[str, Mapping[str, str]]) -> Artifact:
    """Return the artifact as the site wants it."""
    own = overrides.get(artifact.name)
    if own is None:
        return artifact
    if not isinstance(own, Mapping) or not own.get("source") or not own.get("sha256"):
        raise ArtifactError(
            f"Artifact {artifact.name}: its override {own!r} must have a source (path or URL) and a sha256"
        )
    return replace(artifact, source=own["source"], sha256=own["sha256"].lower())


def fetch_from_pypi(artifact: Artifact, path: Path) -> None:
    """Fetch a file of a PyPI project."""
    # Only here, since the other registries do not need it.
    from pypi_simple import PYPI_SIMPLE_ENDPOINT, PyPISimple

    with PyPISimple(endpoint=os.environ.get("PIP_INDEX_URL", PYPI_SIMPLE_ENDPOINT)) as client:
        for package in client.get_project_page(artifact.project).packages:
            if package.filename == artifact.file:
                # The digest that counts is the caller's, not the one that stands beside the file.
                client.download_package(package, path, verify=False)
                return
    raise ArtifactError(f"Artifact {artifact.name}: the project {artifact.project} at PyPI has no file {artifact.file}")


def fetch_from_maven(artifacts: Sequence[Artifact], folder: Path) -> None:
    """Fetch files of Maven repositories into a folder, all by one run of mvn: its start takes longer than a file."""
    if shutil.which("mvn") is None:
        raise ArtifactError(
            f"Artifact {artifacts[0].name} comes from a Maven repository, but there is no command mvn: "
            "install Debian's package maven"
        )
    project = ET.Element("project")
    for tag, text in (("modelVersion", "4.0.0"), ("groupId", "scoreyard"), ("artifactId", "fetch"), ("version", "1")):
        ET.SubElement(project, tag).text = text
    ET.SubElement(project, "packaging").text = "pom"
    plugin = ET.SubElement(ET.SubElement(ET.SubElement(project, "build"), "plugins"), "plugin")
    coordinates = MAVEN_COPY.split(":")
    for tag, text in zip(("groupId", "artifactId", "version"), coordinates, strict=False):
        ET.SubElement(plugin, tag).text = text
    items = ET.SubElement(ET.SubElement(plugin, "configuration"), "artifactItems")
    for artifact in artifacts:
        item = ET.SubElement(items, "artifactItem")
        group, name, *rest = artifact.project.split(":")
        values = {"groupId": group, "artifactId": name, "version": artifact.version}
        values |= dict(zip(("type", "classifier"), rest, strict=False))
        values |= {"outputDirectory": str(folder), "destFileName": artifact.file}
        for tag, text in values.items():
            ET.SubElement(item, tag).text = text
    pom = folder / "pom.xml"
    ET.ElementTree(project).write(pom, encoding="utf-8", xml_declaration=True)
    done = subprocess.run(
        ["mvn", "--batch-mode", "--quiet", "--file", str(pom), MAVEN_COPY], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        names = ", ".join(artifact.name for artifact in artifacts)
        raise ArtifactError(f"mvn could not fetch one of {names}: {done.stdout.strip()} {done.stderr.strip()}")


def fetch_from_site(artifact: Artifact, path: Path) -> None:
    """Fetch the site's own file from its path or URL."""
    assert artifact.source is not None
    try:
        if "://" in artifact.source:
            with open_url(artifact.source, timeout=60) as response, path.open("wb") as stream:
                shutil.copyfileobj(response, stream)
        else:
            shutil.copyfile(artifact.source, path)
    except OSError as error:
        raise ArtifactError(f"Artifact {artifact.name}: {artifact.source} cannot be read: {error}") from error


def verify(artifact: Artifact, path: Path) -> None:
    """Raise ArtifactError unless the file has the artifact's digest."""
    found = sha256_of(path)
    if found != artifact.sha256:
        origin = artifact.source or f"{artifact.file} of {artifact.project} {artifact.version} ({artifact.registry})"
        raise ArtifactError(
            f"Artifact {artifact.name}: {origin} has the SHA-256 {found}, but {artifact.sha256} is expected. "
            "Nothing was kept. If the file is the one you mean, correct the expected digest; otherwise find out who "
            "changed the file."
        )


def missing(artifacts: Sequence[Artifact], directory: Path) -> list[Artifact]:
    """Return the artifacts that the cache does not hold with the right digest."""
    return [
        artifact
        for artifact in artifacts
        if not (directory / artifact.file).is_file() or sha256_of(directory / artifact.file) != artifact.sha256
    ]


def fetch(artifacts: Sequence[Artifact], directory: Path) -> None:
    """Put artifacts into the cache, each only after it was verified.

    Raises:
        ArtifactError: a file cannot be had or has another digest; it is not in the cache then.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=directory) as temporary:
        folder = Path(temporary)
        by_maven = [artifact for artifact in artifacts if artifact.source is None and artifact.registry == "maven"]
        if by_maven:
            fetch_from_maven(by_maven, folder)
        for artifact in artifacts:
            path = folder / artifact.file
            if artifact.source is not None:
                fetch_from_site(artifact, path)
            elif artifact.registry == "pypi":
                fetch_from_pypi(artifact, path)
            verify(artifact, path)
            path.chmod(0o644)
            path.replace(directory / artifact.file)


def main() -> None:
    """Run the module."""
    required: dict[str, Any] = {"type": "str", "required": True}
    optional: dict[str, Any] = {"type": "str", "default": ""}
    module = AnsibleModule(
        argument_spec={
            "artifacts": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": required,
                    "version": optional,
                    "registry": required | {"choices": ["pypi", "maven", "built"]},
                    "project": optional,
                    "file": required,
                    "sha256": optional,
                },
            },
            "directory": {"type": "path", "required": True},
            "overrides": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    directory = Path(module.params["directory"])
    try:
        wanted = [override(Artifact(**item), module.params["overrides"]) for item in module.params["artifacts"]]
        lacking = missing(
            [artifact for artifact in wanted if artifact.source or artifact.registry != "built"], directory
        )
        if not module.check_mode and lacking:
            fetch(lacking, directory)
    except ArtifactError as error:
        module.fail_json(msg=str(error))
    except Exception as error:  # what the registries' clients raise: no network, no such project
        module.fail_json(msg=f"The artifacts could not be fetched: {error}. Run it again, or override the artifact.")
    module.exit_json(changed=bool(lacking), fetched=[artifact.name for artifact in lacking])


if __name__ == "__main__":
    main()
