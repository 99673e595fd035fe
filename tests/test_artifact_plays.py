"""The modules artifact_* and the role artifact as Ansible runs them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from house import Run

SHA256 = hashlib.sha256(b"own").hexdigest()
WRONG = "0" * 64


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A file on the control machine."""
    path = tmp_path / "own"
    path.write_bytes(b"own")
    return path


def fetch(tmp_path: Path, own: Path, sha256: str = SHA256) -> list[dict[str, Any]]:
    built = {"name": "mesos", "registry": "built", "file": "mesos.deb"}
    overrides = {"mesos": {"source": str(own), "sha256": sha256}}
    artifacts = [built, built | {"name": "not overridden", "file": "other.deb"}]
    arguments = {"directory": str(tmp_path / "cache"), "artifacts": artifacts, "overrides": overrides}
    return [{"name": "Fetch", "artifact_fetch": arguments}]


def install(tmp_path: Path, source: str | Path, sha256: str = SHA256) -> list[dict[str, Any]]:
    variables = {
        "artifact_name": "mesos",
        "artifact_source": str(source),
        "artifact_sha256": sha256,
        "artifact_dest": str(tmp_path / "installed"),
        "artifact_owner": str(tmp_path.owner()),
        "artifact_group": str(tmp_path.group()),
    }
    return [{"name": "Install", "ansible.builtin.include_role": {"name": "artifact"}, "vars": variables}]


def absent(path: Path) -> dict[str, Any]:
    """A task that fails if the path exists."""
    return {"ansible.builtin.stat": {"path": str(path)}, "register": "found", "failed_when": "found.stat.exists"}


def test_the_module_fetches_once_and_in_check_mode_only_says_so(
    tmp_path: Path, own: Path, play: Callable[..., Run]
) -> None:
    cached = tmp_path / "cache" / "mesos.deb"
    (task,) = fetch(tmp_path, own)
    run = play([task | {"check_mode": True}, absent(cached.parent), task, task])
    assert run == Run(changed=["Fetch", "Fetch"], messages=[])
    assert [path.name for path in cached.parent.iterdir()] == ["mesos.deb"]


def test_the_module_fails_at_a_wrong_digest(tmp_path: Path, own: Path, play: Callable[..., Run]) -> None:
    run = play(fetch(tmp_path, own, WRONG))
    assert len(run.messages) == 1
    assert all(part in run.messages[0] for part in ("Artifact mesos", SHA256, WRONG))
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_was_built_and_recorded_is_up_to_date_until_an_input_changes(
    tmp_path: Path, own: Path, play: Callable[..., Run]
) -> None:
    archive = {"path": str(tmp_path / "one.tgz"), "top": "one", "files": {"own": str(own)}}
    products = {name: {"path": str(tmp_path / f"{name}.tgz"), "inputs": [str(own)]} for name in ("one", "two")}

    def outdated(*names: str) -> dict[str, Any]:
        """A task that fails unless these and no others are outdated."""
        condition = f"keys.outdated != {list(names)}"
        return {"artifact_key": {"products": products}, "register": "keys", "failed_when": condition}

    record = {"name": "Record", "artifact_key": {"products": products, "record": "one"}}
    run = play(
        [outdated("one", "two"), {"name": "Build", "artifact_archive": archive}, record, outdated("two"), record]
    )
    assert run == Run(changed=["Build", "Record"], messages=[])
    own.write_bytes(b"changed")
    assert play([outdated("one", "two")]).messages == []


def test_an_input_that_is_not_there_is_named(tmp_path: Path, play: Callable[..., Run]) -> None:
    products = {"thing": {"path": str(tmp_path / "thing.tgz"), "inputs": ["/absent"]}}
    (message,) = play([{"artifact_key": {"products": products}}]).messages
    assert "thing.tgz is made of /absent, which is not there" in message


def test_the_role_copies_once_and_in_check_mode_only_says_so(
    tmp_path: Path, own: Path, play: Callable[..., Run]
) -> None:
    (task,) = install(tmp_path, own)
    checked = task | {"ansible.builtin.include_role": {"name": "artifact", "apply": {"check_mode": True}}}
    run = play([checked, absent(tmp_path / "installed"), task, task])
    assert run == Run(changed=["artifact : Copy the artifact"] * 2, messages=[])
    assert (tmp_path / "installed").read_bytes() == b"own"


def test_the_role_copies_nothing_with_a_wrong_digest(tmp_path: Path, own: Path, play: Callable[..., Run]) -> None:
    run = play(install(tmp_path, own, WRONG))
    assert len(run.messages) == 1
    assert all(part in run.messages[0] for part in ("Artifact mesos", SHA256, WRONG, "Nothing was copied"))
    assert not (tmp_path / "installed").exists()


def test_the_role_says_where_a_missing_file_comes_from(tmp_path: Path, own: Path, play: Callable[..., Run]) -> None:
    run = play(install(tmp_path, tmp_path / "absent"))
    assert len(run.messages) == 1
    assert all(part in run.messages[0] for part in ("Artifact mesos", "absent", "make artifacts"))
