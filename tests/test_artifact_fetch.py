"""playbooks/library/artifact_fetch.py: only what was verified gets into the cache, and only once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import artifact_fetch
from artifact_fetch import Artifact, ArtifactError, fetch, missing, override

CONTENT = b"the file"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
WRONG = "0" * 64


def artifact(
    sha256: str = SHA256, registry: str = "pypi", project: str = "thing", file: str = "thing.tar.gz"
) -> Artifact:
    return Artifact("thing", "1.0", registry, project, file, sha256)


@pytest.fixture
def pypi(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """PyPI with one file; returns the names of the files that were fetched of it."""
    fetched: list[str] = []

    def fetch_from_pypi(wanted: Artifact, path: Path) -> None:
        fetched.append(wanted.file)
        path.write_bytes(CONTENT)

    monkeypatch.setattr(artifact_fetch, "fetch_from_pypi", fetch_from_pypi)
    return fetched


@pytest.fixture
def mvn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a command mvn on the path that runs a script; returns the folder it may write to."""

    def install(script: str) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir()
        command = folder / "mvn"
        command.write_text(f"#!/bin/sh\n{script}\n")
        command.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
        return folder

    return install


def test_a_verified_file_is_in_the_cache_and_nothing_else(tmp_path: Path, pypi: list[str]) -> None:
    fetch([artifact()], tmp_path / "cache")
    assert {path.name: path.read_bytes() for path in (tmp_path / "cache").iterdir()} == {"thing.tar.gz": CONTENT}


def test_a_file_that_is_there_is_not_missing(tmp_path: Path, pypi: list[str]) -> None:
    assert missing([artifact()], tmp_path) == [artifact()]
    fetch([artifact()], tmp_path)
    assert missing([artifact()], tmp_path) == []


def test_a_damaged_file_is_fetched_anew(tmp_path: Path, pypi: list[str]) -> None:
    (tmp_path / "thing.tar.gz").write_bytes(b"damaged")
    assert missing([artifact()], tmp_path) == [artifact()]
    fetch([artifact()], tmp_path)
    assert (tmp_path / "thing.tar.gz").read_bytes() == CONTENT


def test_a_wrong_digest_names_the_artifact_and_both_digests_and_leaves_nothing(tmp_path: Path, pypi: list[str]) -> None:
    with pytest.raises(ArtifactError) as error:
        fetch([artifact(sha256=WRONG)], tmp_path)
    assert all(part in str(error.value) for part in ("Artifact thing", SHA256, WRONG))
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_digest_does_not_replace_the_file_of_the_last_time(tmp_path: Path, pypi: list[str]) -> None:
    (tmp_path / "thing.tar.gz").write_bytes(b"of the last time")
    with pytest.raises(ArtifactError):
        fetch([artifact(sha256=WRONG)], tmp_path)
    assert (tmp_path / "thing.tar.gz").read_bytes() == b"of the last time"


@pytest.mark.parametrize("form", [str, Path.as_uri], ids=["path", "url"])
def test_a_file_of_the_site_replaces_that_of_the_registry(
    tmp_path: Path, pypi: list[str], form: Callable[[Path], str]
) -> None:
    own = tmp_path / "own"
    own.write_bytes(b"own")
    wanted = override(
        artifact(), {"thing": {"source": form(own), "sha256": hashlib.sha256(b"own").hexdigest().upper()}}
    )
    fetch([wanted], tmp_path / "cache")
    assert (tmp_path / "cache" / "thing.tar.gz").read_bytes() == b"own"
    assert pypi == []


def test_the_digest_of_a_file_of_the_site_counts_too(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_bytes(b"own")
    with pytest.raises(ArtifactError, match=WRONG):
        fetch([override(artifact(), {"thing": {"source": str(own), "sha256": WRONG}})], tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_file_of_the_site_that_is_not_there_is_named(tmp_path: Path) -> None:
    own = str(tmp_path / "own")
    with pytest.raises(ArtifactError, match=f"Artifact thing: {own}"):
        fetch([override(artifact(), {"thing": {"source": own, "sha256": WRONG}})], tmp_path / "cache")


@pytest.mark.parametrize("own", [{"source": "/own"}, {"sha256": SHA256}, "/own"])
def test_an_override_without_source_or_digest_is_refused(own: dict[str, str]) -> None:
    with pytest.raises(ArtifactError, match="thing"):
        override(artifact(), {"thing": own})


def test_jars_are_fetched_by_one_run_of_maven(tmp_path: Path, mvn: Callable[[str], Path]) -> None:
    bin_folder = mvn(
        'echo run >>"$0.log"; pom=$4; cp "$pom" "$0.pom"; folder=$(dirname "$pom");'
        ' for jar in a.jar b-linux.jar; do printf "the file" >"$folder/$jar"; done'
    )
    jars = [
        artifact(registry="maven", project="org.example:a", file="a.jar"),
        artifact(registry="maven", project="org.example:b:jar:linux", file="b-linux.jar"),
    ]
    fetch(jars, tmp_path / "cache")
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == ["a.jar", "b-linux.jar"]
    assert (bin_folder / "mvn.log").read_text() == "run\n"
    pom = (bin_folder / "mvn.pom").read_text()
    assert "<groupId>org.example</groupId><artifactId>b</artifactId><version>1.0</version><type>jar</type>" in pom
    assert "<classifier>linux</classifier>" in pom


def test_the_failure_of_maven_is_told(tmp_path: Path, mvn: Callable[[str], Path]) -> None:
    mvn("echo no such artifact; exit 1")
    with pytest.raises(ArtifactError, match="thing: no such artifact"):
        fetch([artifact(registry="maven", project="org.example:a")], tmp_path / "cache")


def test_without_maven_the_package_to_install_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ArtifactError, match="package maven"):
        fetch([artifact(registry="maven", project="org.example:a")], tmp_path / "cache")
