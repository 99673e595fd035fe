"""What the house's tests share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from house import HOUSE, Run


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., Run]:
    """Run a play of some tasks on this machine, with the house's roles and modules."""

    def run(tasks: list[dict[str, Any]], *arguments: str) -> Run:
        playbook = tmp_path / "play.yml"
        content = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}]
        playbook.write_text(json.dumps(content))
        settings = {
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
            "ANSIBLE_LIBRARY": str(HOUSE / "playbooks" / "library"),
            "ANSIBLE_ROLES_PATH": str(HOUSE / "roles"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
        }
        done = subprocess.run(
            [Path(sys.executable).with_name("ansible-playbook"), playbook, *arguments],
            cwd=tmp_path,
            env={name: value for name, value in os.environ.items() if name != "ANSIBLE_CONFIG"} | settings,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.startswith("{"), done.stderr
        report = json.loads(done.stdout)
        results = [(task["task"]["name"], task["hosts"]["localhost"]) for task in report["plays"][0]["tasks"]]
        changed = [name for name, result in results if result.get("changed")]
        return Run(changed, [result["msg"] for _, result in results if result.get("failed")])

    return run
