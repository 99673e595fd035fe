"""Module file_set: folders and files, many in one call."""

from __future__ import annotations

import getpass
import grp
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from house import Run

Play = Callable[..., Run]


@pytest.fixture
def me() -> dict[str, str]:
    return {"owner": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}


def task(folder: Path, me: dict[str, str], content: str = "a: 1\n", secret: str = "word") -> list[dict[str, Any]]:
    arguments = {
        "folders": [{"path": f"{folder}/etc/service", "mode": "0750", **me}],
        "files": [{"path": f"{folder}/etc/service/options", "content": content, **me}],
        "secrets": [{"path": f"{folder}/etc/service/password", "content": secret, **me}],
    }
    return [{"name": "write", "file_set": arguments}]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_makes_folders_and_writes_files_with_their_modes_once(
    play: Play, tmp_path: Path, me: dict[str, str]
) -> None:
    assert play(task(tmp_path, me)).changed == ["write"]
    service = tmp_path / "etc" / "service"
    assert (mode(service), mode(service / "options"), mode(service / "password")) == (0o750, 0o644, 0o600)
    assert ((service / "options").read_text(), (service / "password").read_text()) == ("a: 1\n", "word")
    assert sorted(path.name for path in service.iterdir()) == ["options", "password"]
    assert play(task(tmp_path, me)).changed == []


def test_it_replaces_what_differs_and_nothing_else(play: Play, tmp_path: Path, me: dict[str, str]) -> None:
    play(task(tmp_path, me))
    password = tmp_path / "etc" / "service" / "password"
    before = password.stat().st_ctime_ns
    assert play(task(tmp_path, me, content="a: 2\n")).changed == ["write"]
    assert password.with_name("options").read_text() == "a: 2\n"
    assert password.stat().st_ctime_ns == before


def test_it_mends_a_mode(play: Play, tmp_path: Path, me: dict[str, str]) -> None:
    play(task(tmp_path, me))
    password = tmp_path / "etc" / "service" / "password"
    password.chmod(0o644)
    assert play(task(tmp_path, me)).changed == ["write"]
    assert mode(password) == 0o600


def test_check_mode_says_what_would_change_and_changes_nothing(play: Play, tmp_path: Path, me: dict[str, str]) -> None:
    assert play(task(tmp_path, me), "--check").changed == ["write"]
    assert not (tmp_path / "etc").exists()


def test_a_diff_shows_files_and_no_secrets(play: Play, tmp_path: Path, me: dict[str, str]) -> None:
    play(task(tmp_path, me))
    tasks = task(tmp_path, me, content="a: 2\n", secret="hidden-word")
    tasks[0]["register"] = "written"
    shown = play([*tasks, {"ansible.builtin.fail": {"msg": "{{ written.diff }} {{ written }}"}}]).messages
    assert "a: 1" in shown[0] and "a: 2" in shown[0]
    assert "hidden-word" not in shown[0]


def test_a_file_that_cannot_be_written_is_named(play: Play, tmp_path: Path, me: dict[str, str]) -> None:
    (tmp_path / "etc").write_text("a file where a folder should be")
    (message,) = play(task(tmp_path, me)).messages
    assert f"{tmp_path}/etc/service" in message
