#!/usr/bin/env python3
"""Generate roles/*/README.md from meta/argument_specs.yml.

    role_readme.py [--check]

With --check nothing is written; the exit status is 1 if a README is not what its specs make it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).resolve().parents[1] / "roles"
# Ansible's documentation markup: C(code), V(value), O(option), E(environment), I(italic), B(bold).
MARKUP = re.compile(r"\b([CVOEIB])\(((?:[^()\\]|\\.)*)\)")
MARKS = {"I": "*", "B": "**"}


def text(description: str | list[str]) -> list[str]:
    """Return the paragraphs of a description in Markdown."""
    paragraphs = [description] if isinstance(description, str) else description

    def mark(match: re.Match[str]) -> str:
        sign = MARKS.get(match[1], "`")
        return f"{sign}{match[2]}{sign}"

    return [MARKUP.sub(mark, " ".join(paragraph.split())) for paragraph in paragraphs]


def code(value: Any) -> str:
    """Return a value in YAML's flow style as code."""
    plain = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    return f"`{plain}`"


def rows(options: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the table's rows for options and, below each, for those inside it."""
    for name, option in options.items():
        kind = option.get("type", "str")
        if kind == "list" and "elements" in option:
            kind = f"list of {option['elements']}"
        default = "**required**" if option.get("required") else code(option["default"]) if "default" in option else ""
        description = " ".join(text(option["description"]))
        if "choices" in option:
            description += f" One of {', '.join(code(choice) for choice in option['choices'])}."
        cells = [f"`{prefix}{name}`", kind, default, description]
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
        yield from rows(option.get("options") or {}, f"{prefix}{name}{'[]' if option.get('type') == 'list' else ''}.")


def readme(role: str, specs: dict[str, Any]) -> str:
    """Return a role's README."""
    main = specs["main"]
    options = main.get("options") or {}
    lines = [f"# {role}", "", f"{main['short_description']}.", ""]
    for paragraph in text(main.get("description", [])):
        lines += [paragraph, ""]
    if options:
        lines += ["## Variables", "", "| name | type | default | description |", "| --- | --- | --- | --- |"]
        lines += [*rows(options), ""]
    for name, entry in specs.items():
        if name != "main":
            same = " It takes the same variables." if entry == main else ""
            lines += [f"Another entry point is `tasks_from: {name}`.{same}", ""]
    required = [name for name, option in options.items() if option.get("required")]
    example: dict[str, Any] = {"role": role} | ({"vars": {name: "..." for name in required}} if required else {})
    play = [{"name": main["short_description"], "hosts": "all", "become": True, "roles": [example]}]
    lines += ["## Example", "", "```yaml", yaml.safe_dump(play, sort_keys=False).rstrip(), "```", ""]
    lines += ["Made from `meta/argument_specs.yml` by `make readme`.", ""]
    return "\n".join(lines)


def main() -> int:
    """Write or check the README of every role."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, fail if something would be written")
    check = parser.parse_args().check
    stale = []
    for specs in sorted(ROLES.glob("*/meta/argument_specs.yml")):
        role = specs.parents[1]
        wanted = readme(role.name, yaml.safe_load(specs.read_text())["argument_specs"])
        file = role / "README.md"
        if not file.exists() or file.read_text() != wanted:
            stale.append(str(file.relative_to(ROLES.parent)))
            if not check:
                file.write_text(wanted)
    if check and stale:
        print(f"Not up to date: {', '.join(stale)}. Run `make readme`.", file=sys.stderr)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
