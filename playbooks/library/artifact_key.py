#!/usr/bin/python
"""Ansible module: tell whether something built is up to date with what it was built of."""

from __future__ import annotations

DOCUMENTATION = r"""
module: artifact_key
short_description: Tell whether a build product is up to date with all that it is made of
description:
  - A product, a file or a directory, has a record beside it, a JSON file named after it with the suffix C(.json). It
    holds the digest of everything that the product was made of and the digest of the product itself.
  - The product is current if both still hold. Times of files play no part, so a cache may be copied.
author: Scoreyard
options:
  product:
    description: Path of the file or directory that is built.
    type: path
    required: true
  inputs:
    description: Files and directories that it is made of. What Python and compilers leave behind is passed over.
    type: list
    elements: path
    default: []
  values:
    description: Anything else that it depends on.
    type: raw
  record:
    description: Write the record, after the product was built.
    type: bool
    default: false
  facts:
    description: What else the record is to hold.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
"""

EXAMPLES = r"""
- name: Look for the package
  artifact_key:
    product: .cache/artifacts/mesos_1.11.0-2_amd64.deb
    inputs: [images/mesos/Dockerfile, images/mesos/src]
  register: package
"""

RETURN = r"""
current:
  description: Whether the product exists and is up to date.
  returned: always
  type: bool
record:
  description: What the record holds, C(inputs) and C(sha256) and the facts; empty without one.
  returned: always
  type: dict
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

LEFT_BEHIND = {"__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache"}


def files_of(path: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files at and below a path, sorted, with their names relative to it."""
    if not path.is_dir():
        yield path.name, path
        return
    for file in sorted(path.rglob("*")):
        relative = file.relative_to(path)
        if file.is_file() and not LEFT_BEHIND & set(relative.parts) and not relative.name.endswith((".pyc", ".so")):
            yield str(relative), file


def digest(paths: Iterable[Path], values: Any = None) -> str:
    """Return the SHA-256 of the names, the contents and the executable bits of all files, and of the values."""
    total = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for path in paths:
        for name, file in files_of(path):
            with file.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").hexdigest()
            executable = bool(file.stat().st_mode & 0o100)
            total.update(f"{path.name}\0{name}\0{content}\0{executable}\n".encode())
    return total.hexdigest()


def content_digest(product: Path) -> str:
    """Return the SHA-256 of a file, or one that stands for all files of a directory."""
    if product.is_dir():
        return digest([product])
    with product.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def record_of(product: Path) -> Path:
    """Return the path of a product's record."""
    return product.with_name(f"{product.name}.json")


def read_record(product: Path) -> dict[str, Any]:
    """Return a product's record, empty if there is none that can be read."""
    try:
        record = json.loads(record_of(product).read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def is_current(product: Path, inputs: str) -> bool:
    """Return whether the product is what its record says, and was made of these inputs."""
    record = read_record(product)
    return product.exists() and record.get("inputs") == inputs and record.get("sha256") == content_digest(product)


def write_record(product: Path, inputs: str, facts: dict[str, Any]) -> bool:
    """Write a product's record, and return whether that changed anything."""
    record = {"inputs": inputs, "sha256": content_digest(product), **facts}
    if record == read_record(product):
        return False
    path = record_of(product)
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(record, indent=2) + "\n")
    part.replace(path)
    return True


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "product": {"type": "path", "required": True},
            "inputs": {"type": "list", "elements": "path", "default": []},
            "values": {"type": "raw"},
            "record": {"type": "bool", "default": False},
            "facts": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    product = Path(module.params["product"])
    absent = [path for path in module.params["inputs"] if not Path(path).exists()]
    if absent:
        module.fail_json(msg=f"{product.name} is made of {', '.join(absent)}, which is not there: check out all files")
    inputs = digest([Path(path) for path in module.params["inputs"]], module.params["values"])
    changed = False
    if module.params["record"] and not module.check_mode:
        changed = write_record(product, inputs, module.params["facts"])
    module.exit_json(changed=changed, current=is_current(product, inputs), record=read_record(product))


if __name__ == "__main__":
    main()
