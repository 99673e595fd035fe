"""The inventories that come with the house."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from house import HOUSE

INVENTORIES = HOUSE / "inventories"
# The groups whose hosts get a role that has required variables.
ROLES = {
    "zookeeper": ["zookeeper"],
    "mesos_masters": ["mesos_master", "pmml_worker"],
    "mesos_agents": ["mesos_agent", "pmml_worker"],
    "hdfs_namenodes": ["hdfs_namenode"],
    "registry": ["registry"],
    "gateways": ["spark"],
}


def run(program: str, *arguments: str | Path) -> str:
    done = subprocess.run(
        [Path(sys.executable).with_name(program), *arguments],
        env=os.environ | {"ANSIBLE_CONFIG": str(HOUSE / "ansible.cfg")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def listed(inventory: Path) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(run("ansible-inventory", f"--inventory={inventory}", "--list"))
    return answer


def required(role: str) -> set[str]:
    specs = yaml.safe_load((HOUSE / "roles" / role / "meta" / "argument_specs.yml").read_text())
    options = specs["argument_specs"]["main"]["options"]
    return {name for name, option in options.items() if option.get("required")}


@pytest.mark.parametrize("name", ["local", "example"])
def test_an_inventory_sets_every_variable_that_a_role_requires(name: str) -> None:
    inventory = listed(INVENTORIES / name)
    for group, roles in ROLES.items():
        wanted = set().union(*map(required, roles))
        assert wanted
        for host in inventory[group]["hosts"]:
            assert wanted - inventory["_meta"]["hostvars"][host].keys() == set()


def test_site_takes_the_example() -> None:
    run("ansible-playbook", HOUSE / "site.yml", f"--inventory={INVENTORIES / 'example'}", "--syntax-check")


def test_what_a_copy_of_the_example_sets_wins(tmp_path: Path) -> None:
    shutil.copytree(INVENTORIES / "example", tmp_path / "mine", symlinks=True)
    shutil.copy(INVENTORIES / "datacenter.yml", tmp_path)
    mine = {"mesos_admin_secret": "mine", "mesos_master_acls": {"permissive": True}}
    with (tmp_path / "mine" / "group_vars" / "all" / "site.yml").open("a") as site:
        yaml.safe_dump(mine, site)
    variables = listed(tmp_path / "mine")["_meta"]["hostvars"]["master1"]
    assert mine.items() <= variables.items()
    assert variables["mesos_master_admin"] == "admin"
