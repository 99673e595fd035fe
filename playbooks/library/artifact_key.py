#!/usr/bin/python
"""Ansible module: tell which of the things that are built are up to date with what they were built of."""

from __future__ import annotations

DOCUMENTATION = r"""
module: artifact_key
short_description: Tell which build products are up to date with all that they are made of
description:
  - A product, a file or a directory, has a record beside it, a JSON file named after it with the suffix C(.json). It
    holds the digest of everything that the product was made of and the digest of the product itself.
  - The product is current if both still hold. Times of files play no part, so a cache may be copied.
author: Scoreyard
options:
  products:
    description:
      - The products by name, each a dictionary of C(path), the file or directory that is built; C(inputs), a list of
        files and directories that it is made of (what Python and compilers leave behind is passed over); and C(values),
        anything else that it depends on.
    type: dict
    required: true
  record:
    description: Name of a product that was just built; its record is written, and only it is looked at.
    type: str
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
    products:
      mesos:
        path: .cache/artifacts/mesos_1.11.0-2_amd64.deb
        inputs: [images/mesos/Dockerfile, images/mesos/src]
  register: packages
"""

RETURN = r"""
outdated:
  description: Names of the products that do not exist or are not up to date.
  returned: always
  type: list
  elements: str
digests:
  description: The digest of all that each product is made of, by name.
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
            "products": {"type": "dict", "required": True},
            "record": {"type": "str"},
            "facts": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    products, record = module.params["products"], module.params["record"]
    changed = False
    outdated, digests = [], {}
    for name in products if record is None else [record]:
        product = Path(products[name]["path"])
        inputs = [Path(path) for path in products[name].get("inputs", [])]
        if absent := [str(path) for path in inputs if not path.exists()]:
            module.fail_json(
                msg=f"{product.name} is made of {', '.join(absent)}, which is not there: check out all files"
            )
        made_of = digests[name] = digest(inputs, products[name].get("values"))
        if record is not None and not module.check_mode:
            changed = write_record(product, made_of, module.params["facts"])
        if not is_current(product, made_of):
            outdated.append(name)
    module.exit_json(changed=changed, outdated=outdated, digests=digests)


if __name__ == "__main__":
    main()
