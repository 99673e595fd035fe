"""Every role: its argument_specs, its defaults and its README say the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import role_readme

ROLES = sorted(path for path in role_readme.ROLES.iterdir() if path.is_dir())
pytestmark = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


def options(role: Path) -> dict[str, Any]:
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())
    found: dict[str, Any] = specs["argument_specs"]["main"].get("options") or {}
    return found


def defaults(role: Path) -> dict[str, Any]:
    return yaml.safe_load((role / "defaults" / "main.yml").read_text()) or {}


def test_every_option_has_a_default_unless_it_is_required(role: Path) -> None:
    optional = {name for name, option in options(role).items() if not option.get("required")}
    assert set(defaults(role)) == optional


def test_a_default_in_the_specs_is_the_default(role: Path) -> None:
    stated = {name: option["default"] for name, option in options(role).items() if "default" in option}
    assert {name: defaults(role)[name] for name in stated} == stated


def test_every_variable_bears_the_name_of_its_role(role: Path) -> None:
    assert [name for name in options(role) if not name.startswith(f"{role.name}_")] == []


def test_every_option_is_described(role: Path) -> None:
    assert [name for name, option in options(role).items() if not option.get("description")] == []


def test_the_readme_is_made_from_the_specs(role: Path) -> None:
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]
    assert (role / "README.md").read_text() == role_readme.readme(role.name, specs), "run: make readme"
