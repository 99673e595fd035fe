#!/usr/bin/python
"""Ansible module: put files together into an archive whose bytes depend on their names and contents only."""

from __future__ import annotations

DOCUMENTATION = r"""
module: artifact_archive
short_description: Put files, folders and parts of other archives together into a tar archive
description:
  - Writes a tar archive with one folder at its top. Times, owners, modes (but for whether a file is executable) and the
    order are fixed, so the same inputs always give the same bytes.
  - The archive takes its place only when it is whole. It is written on every call; M(artifact_key) tells whether to.
author: Scoreyard
options:
  path:
    description: The archive. Compressed by gzip if its name ends in C(gz).
    type: path
    required: true
  top:
    description: Name of the folder that holds everything.
    type: str
    required: true
  files:
    description:
      - What goes into it from the file system, by the name that it gets in C(top). The name of a folder stands for all
        files in it.
    type: dict
    default: {}
  unpack:
    description: What goes into it from tar and zip archives.
    type: list
    elements: dict
    default: []
    suboptions:
      source:
        description: The archive.
        type: path
        required: true
      rename:
        description:
          - Regular expressions and their replacements, which make names in C(top) from those in the archive. The first
            that matches counts; a file that none matches is left out.
        type: dict
        required: true
  level:
    description: How hard gzip tries, 1 (fast) to 9.
    type: int
    default: 6
attributes:
  check_mode:
    support: none
"""

EXAMPLES = r"""
- name: Put together an archive
  artifact_archive:
    path: .cache/artifacts/thing-1.0.tar.gz
    top: thing-1.0
    files: {bin: images/thing/bin, lib/thing.jar: .cache/thing.jar}
    unpack:
      - {source: .cache/thing.jar, rename: {'^webapps/': share/webapps/}}
"""

RETURN = r"""
files:
  description: How many files the archive holds.
  returned: always
  type: int
"""

import gzip
import re
import tarfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ansible.module_utils.basic import AnsibleModule


class ArchiveError(Exception):
    """An archive cannot be made; the message names what is wrong with it."""


def files_of(path: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files at and below a path, sorted, each with what its name adds to that of the path."""
    if not path.is_dir():
        yield "", path
        return
    for file in sorted(path.rglob("*")):
        if file.is_file() and file.parent.name != "__pycache__":
            yield f"/{file.relative_to(path).as_posix()}", file


def entries(archive: Path) -> Iterator[tuple[str, bool, int, IO[bytes]]]:
    """Yield name, whether it is executable, size in bytes and content of each file of an archive, in its order."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            for info in opened.infolist():
                if not info.is_dir():
                    with opened.open(info) as content:
                        yield info.filename, bool(info.external_attr >> 16 & 0o100), info.file_size, content
        return
    try:
        with tarfile.open(archive, "r|*") as stream:
            for member in stream:
                if member.isfile():
                    extracted = stream.extractfile(member)
                    assert extracted is not None
                    yield member.name, bool(member.mode & 0o100), member.size, extracted
                elif not member.isdir():
                    raise ArchiveError(f"{archive}: {member.name} is neither a file nor a folder")
    except tarfile.TarError as error:
        raise ArchiveError(f"{archive} is no archive of tar or zip: {error}") from error


def renamed(name: str, rename: Mapping[str, str]) -> str | None:
    """Return the name that the first matching expression makes, or None."""
    for expression, replacement in rename.items():
        if re.search(expression, name):
            return re.sub(expression, replacement, name, count=1)
    return None


class Writer:
    """Adds files to a tar archive, and before each its folders."""

    def __init__(self, archive: tarfile.TarFile, top: str) -> None:
        self.archive = archive
        self.top = PurePosixPath(top)
        self.names: set[str] = set()
        self.files = 0

    def add(self, name: str, executable: bool, size: int, content: IO[bytes]) -> None:
        """Add a file below the top."""
        path = self.top / name
        if ".." in path.parts or not path.is_relative_to(self.top):
            raise ArchiveError(f"{name} would lie outside of {self.top}")
        if str(path) in self.names:
            raise ArchiveError(f"two sources give the archive a file {path}")
        for folder in reversed(path.parents[:-1]):
            if str(folder) not in self.names:
                self.names.add(str(folder))
                self.archive.addfile(self.header(str(folder), tarfile.DIRTYPE, 0o755))
        self.names.add(str(path))
        header = self.header(str(path), tarfile.REGTYPE, 0o755 if executable else 0o644)
        header.size = size
        self.archive.addfile(header, content)
        self.files += 1

    @staticmethod
    def header(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
        """Return a header; its time is the epoch, its owner and group are root's numbers without names."""
        header = tarfile.TarInfo(name)
        header.type, header.mode = kind, mode
        return header


def write(
    path: Path, top: str, files: Mapping[str, str], unpack: Sequence[Mapping[str, Any]] = (), level: int = 6
) -> int:
    """Write the archive and return how many files it holds.

    Raises:
        ArchiveError: a source is missing, is no archive, gives no file, or one that is there already.
    """
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as raw:
        # Without a name and a time of its own, which would be other bytes each time.
        packed: Any = gzip.GzipFile("", "wb", level, raw, mtime=0) if path.name.endswith("gz") else raw
        with packed, tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive:
            writer = Writer(archive, top)
            for name, source in sorted(files.items()):
                before = writer.files
                for rest, file in files_of(Path(source)):
                    status = file.stat()
                    with file.open("rb") as stream:
                        writer.add(name + rest, bool(status.st_mode & 0o100), status.st_size, stream)
                if writer.files == before:
                    raise ArchiveError(f"{source} holds no file")
            for part_of in unpack:
                before = writer.files
                for name, executable, size, content in entries(Path(part_of["source"])):
                    if (target := renamed(name, part_of["rename"])) is not None:
                        writer.add(target, executable, size, content)
                if writer.files == before:
                    raise ArchiveError(f"{part_of['source']} holds no file that matches {list(part_of['rename'])}")
    part.replace(path)
    return writer.files


def main() -> None:
    """Run the module."""
    required: dict[str, Any] = {"required": True}
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path"} | required,
            "top": {"type": "str"} | required,
            "files": {"type": "dict", "default": {}},
            "unpack": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {"source": {"type": "path"} | required, "rename": {"type": "dict"} | required},
            },
            "level": {"type": "int", "default": 6},
        }
    )
    path = Path(module.params["path"])
    try:
        files = write(path, **{name: module.params[name] for name in ("top", "files", "unpack", "level")})
    except (ArchiveError, OSError) as error:
        module.fail_json(msg=f"{path.name} could not be put together: {error}")
    module.exit_json(changed=True, files=files)


if __name__ == "__main__":
    main()
