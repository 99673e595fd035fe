"""playbooks/library/artifact_archive.py: the same files give the same archive, whoever has them and since when."""

from __future__ import annotations

import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from artifact_archive import ArchiveError, write


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with a program and a text."""
    folder = tmp_path / "source"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "run").write_text("#!/bin/sh\n")
    (folder / "bin" / "run").chmod(0o700)
    (folder / "README").write_text("text")
    (folder / "README").chmod(0o600)
    return folder


@pytest.fixture
def jar(tmp_path: Path) -> Path:
    """A zip archive with a page and a class."""
    path = tmp_path / "a.jar"
    with zipfile.ZipFile(path, "w") as archive:
        archive.mkdir("pages")
        archive.writestr("pages/index.html", "<html/>")
        archive.writestr("A.class", "class")
    return path


def listed(path: Path) -> list[tuple[str, str]]:
    with tarfile.open(path) as archive:
        assert {(member.mtime, member.uid, member.gid, member.uname, member.gname) for member in archive} == {
            (0, 0, 0, "", "")
        }
        return [(member.name, f"{member.mode:o}") for member in archive]


def test_files_folders_and_parts_of_archives_are_below_the_top(tmp_path: Path, source: Path, jar: Path) -> None:
    path = tmp_path / "thing.tar.gz"
    files = {"bin": str(source / "bin"), "doc/README": str(source / "README")}
    assert write(path, "thing-1.0", files, [{"source": jar, "rename": {"^pages/": "share/"}}]) == 3
    assert listed(path) == [
        ("thing-1.0", "755"),
        ("thing-1.0/bin", "755"),
        ("thing-1.0/bin/run", "755"),
        ("thing-1.0/doc", "755"),
        ("thing-1.0/doc/README", "644"),
        ("thing-1.0/share", "755"),
        ("thing-1.0/share/index.html", "644"),
    ]
    with tarfile.open(path) as archive:
        content = archive.extractfile("thing-1.0/share/index.html")
        assert content is not None and content.read() == b"<html/>"


def test_the_same_content_gives_the_same_bytes(tmp_path: Path, source: Path) -> None:
    write(tmp_path / "one.tgz", "top", {"a": str(source)})
    os.utime(source / "README", (1, 1))
    (source / "README").chmod(0o644)
    write(tmp_path / "two.tgz", "top", {"a": str(source)})
    assert (tmp_path / "one.tgz").read_bytes() == (tmp_path / "two.tgz").read_bytes()


def test_a_tar_archive_can_be_taken_apart_too_and_its_programs_stay_executable(tmp_path: Path, source: Path) -> None:
    write(tmp_path / "one.tgz", "one", {"a": str(source)})
    rename = {"^one/a/bin/": "sbin/", r"^never$": "never"}
    assert write(tmp_path / "two.tar", "two", {}, [{"source": str(tmp_path / "one.tgz"), "rename": rename}]) == 1
    assert listed(tmp_path / "two.tar")[-1] == ("two/sbin/run", "755")


@pytest.mark.parametrize(
    ("files", "rename", "message"),
    [
        ({"a": "absent"}, None, "absent"),
        ({}, {"^nothing/": ""}, "holds no file that matches"),
        ({"index.html": "a.jar"}, {"^pages/": ""}, "two sources give the archive a file top/index.html"),
        ({}, {"^pages/": "../"}, "would lie outside of top"),
    ],
    ids=["missing", "no match", "twice", "outside"],
)
def test_what_cannot_be_put_together_is_named_and_the_old_archive_stays(
    tmp_path: Path, jar: Path, files: dict[str, str], rename: dict[str, str] | None, message: str
) -> None:
    path = tmp_path / "thing.tgz"
    path.write_text("of the last time")
    unpack = [{"source": str(jar), "rename": rename}] if rename else []
    with pytest.raises((ArchiveError, OSError), match=message):
        write(path, "top", {name: str(tmp_path / file) for name, file in files.items()}, unpack)
    assert path.read_text() == "of the last time"


def test_what_is_no_archive_is_refused(tmp_path: Path, source: Path) -> None:
    with pytest.raises(ArchiveError, match="README is no archive of tar or zip"):
        write(tmp_path / "thing.tgz", "top", {}, [{"source": str(source / "README"), "rename": {"^": ""}}])
