#!/usr/bin/python3
"""Ansible module: several folders and files in one call."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: file_set
short_description: Make folders and write files, many in one call
description:
  - What the modules C(file) and C(copy) do one by one, for all the files of a service at once, which takes one step on
    the node instead of one per file. A file is replaced as a whole, by renaming.
options:
  folders:
    description: Folders to make, in this order.
    type: list
    elements: dict
    default: []
    suboptions: &attributes
      path: {description: Where it is., type: path, required: true}
      owner: {description: Owner., type: str, default: root}
      group: {description: Group., type: str, default: root}
      mode: {description: Mode. For a folder 0755 and for a secret 0600 unless it is given., type: str, default: "0644"}
  files:
    description: Files to write. C(--diff) shows what changes in them.
    type: list
    elements: dict
    default: []
    suboptions: &file
      <<: *attributes
      content: {description: All of the file., type: str, required: true}
  secrets:
    description: Files to write whose content is never shown.
    type: list
    elements: dict
    default: []
    suboptions: *file
"""

EXAMPLES = """
- file_set:
    folders:
      - {path: /etc/service}
    files:
      - {path: /etc/service/options, content: "{{ lookup('ansible.builtin.template', 'options.j2') }}"}
    secrets:
      - {path: /etc/service/password, content: "{{ password }}", owner: service}
"""

RETURN = """
paths: {description: What was made or changed., type: list, elements: str, returned: always}
"""


def attributes(mode: str) -> dict[str, Any]:
    """Arguments that folders and files have in common."""
    return {
        "path": {"type": "path", "required": True},
        "owner": {"type": "str", "default": "root"},
        "group": {"type": "str", "default": "root"},
        "mode": {"type": "str", "default": mode},
    }


def set_attributes(module: AnsibleModule, item: dict[str, Any]) -> bool:
    """Sets owner, group and mode where they differ, and says whether they did."""
    wanted = {**item, "secontext": [None, None, None], "attributes": None}
    return bool(module.set_fs_attributes_if_different(wanted, False, expand=False))


def make_folder(module: AnsibleModule, item: dict[str, Any]) -> bool:
    """Makes a folder, and says whether anything changed."""
    path = Path(item["path"])
    if path.is_dir():
        return set_attributes(module, item)
    if not module.check_mode:
        path.mkdir(parents=True)
        set_attributes(module, item)
    return True


def write_file(module: AnsibleModule, item: dict[str, Any], secret: bool) -> tuple[bool, dict[str, str]]:
    """Writes a file, and says whether anything changed, and what in its content."""
    path = Path(item["path"])
    content: str = item["content"]
    before = path.read_text() if path.is_file() else None
    if before == content:
        return set_attributes(module, item), {}
    if not module.check_mode:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        module.add_cleanup_file(temporary)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(content)
        # With its owner and mode in place beforehand, so that nobody meets a secret that all can read.
        set_attributes(module, {**item, "path": temporary})
        os.replace(temporary, path)
    shown = {} if secret else {"before_header": str(path), "after_header": str(path)}
    return True, shown and {**shown, "before": before or "", "after": content}


def main() -> None:
    """Runs the module."""
    file = {**attributes("0644"), "content": {"type": "str", "required": True}}
    secret = {**attributes("0600"), "content": {"type": "str", "required": True, "no_log": True}}
    module = AnsibleModule(
        argument_spec={
            "folders": {"type": "list", "elements": "dict", "default": [], "options": attributes("0755")},
            "files": {"type": "list", "elements": "dict", "default": [], "options": file},
            "secrets": {"type": "list", "elements": "dict", "default": [], "options": secret},
        },
        supports_check_mode=True,
    )
    paths: list[str] = []
    diffs: list[dict[str, str]] = []
    path = ""
    try:
        for item in module.params["folders"]:
            path = item["path"]
            if make_folder(module, item):
                paths.append(path)
        for kind in ("files", "secrets"):
            for item in module.params[kind]:
                path = item["path"]
                changed, diff = write_file(module, item, kind == "secrets")
                if changed:
                    paths.append(path)
                if diff:
                    diffs.append(diff)
    except OSError as error:
        module.fail_json(msg=f"Writing {path} failed: {error}", paths=paths)
    module.exit_json(changed=bool(paths), paths=paths, diff=diffs)


if __name__ == "__main__":
    main()
