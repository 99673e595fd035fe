#!/usr/bin/python3
"""Ansible module: folders of HDFS with their owners, modes and quotas, by WebHDFS."""

from __future__ import annotations

import json
import time
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url

DOCUMENTATION = """
module: hdfs_folders
short_description: Make folders of HDFS
description:
  - Makes folders where there are none, and sets the owner, the group, the mode and the quotas of those that differ, all
    in one call, as HDFS' superuser, by the WebHDFS of the active NameNode.
  - Waits until a NameNode is active and has left safemode.
  - "Source: WebHDFS REST API of Hadoop 3.4, operations GETFILESTATUS, GETQUOTAUSAGE, MKDIRS, SETOWNER, SETPERMISSION,
    SETQUOTA and SETQUOTABYSTORAGETYPE's neighbours; simple authentication (user.name)."
options:
  configuration:
    description: File that names the nameservice and its NameNodes.
    type: path
    default: /etc/hadoop/cluster.xml
  user: {description: HDFS' superuser., type: str, default: hdfs}
  seconds: {description: Seconds to wait for an active NameNode that left safemode., type: int, default: 300}
  folders:
    description: The folders, each after the one that it is in.
    type: list
    elements: dict
    required: true
    options:
      path: {description: Absolute path in HDFS., type: str, required: true}
      owner: {description: Owner. By default the superuser., type: str}
      group: {description: Group., type: str, default: hadoop}
      mode: {description: Mode in octal digits., type: str, default: "0755"}
      name_quota: {description: Names that may be in it and below. 0 for no quota., type: int, default: 0}
      space_quota_mb: {description: Space in MiB, counting all replicas. 0 for no quota., type: int, default: 0}
"""

EXAMPLES = """
- hdfs_folders:
    folders:
      - {path: /tmp, mode: "1777"}
      - {path: /user/ann, owner: ann, group: ann, mode: "0750", space_quota_mb: 102400}
"""

RETURN = """
paths: {description: Folders that were made or changed., type: list, elements: str, returned: always}
"""

MIB = 1024 * 1024
# What a NameNode answers that cannot do it now: HDFS' exceptions, as WebHDFS names them.
NOT_NOW = ("StandbyException", "SafeModeException", "RetriableException")

Folder = dict[str, Any]


class NotNowError(Exception):
    """No NameNode can do it at this time."""


class RefusedError(Exception):
    """HDFS says no."""


def namenodes(configuration: str) -> list[str]:
    """Addresses of the NameNodes' WebHDFS.

    Raises:
        ValueError: the file names none.
    """
    items = ElementTree.parse(configuration).getroot().iter("property")
    properties = {str(item.findtext("name")): str(item.findtext("value")) for item in items}
    try:
        service = properties["dfs.nameservices"]
        ids = properties[f"dfs.ha.namenodes.{service}"].split(",")
        return ["http://" + properties[f"dfs.namenode.http-address.{service}.{id_}"] for id_ in ids]
    except KeyError as error:
        raise ValueError(f"{configuration} has no property {error}") from error


class WebHdfs:
    """WebHDFS of whichever NameNode is active."""

    def __init__(self, urls: list[str], user: str, seconds: float) -> None:
        self.urls = urls
        self.user = user
        self.deadline = time.monotonic() + seconds

    def call(self, method: str, path: str, operation: str, **parameters: str | int) -> Any:
        """Runs an operation and returns what is in its answer, or None where the path does not exist.

        Raises:
            RefusedError: HDFS refused it.
            NotNowError: no NameNode was active and out of safemode in time.
        """
        while True:
            reasons = []
            for url in list(self.urls):
                try:
                    answer = self._ask(url, method, path, operation, parameters)
                except (NotNowError, OSError) as error:
                    reasons.append(f"{url}: {error}")
                    continue
                # The next call asks it first.
                self.urls.remove(url)
                self.urls.insert(0, url)
                return answer
            if time.monotonic() > self.deadline:
                raise NotNowError("; ".join(reasons))
            time.sleep(0.5)

    def _ask(self, url: str, method: str, path: str, operation: str, parameters: dict[str, str | int]) -> Any:
        query = urlencode({"op": operation, "user.name": self.user, **parameters})
        try:
            text = open_url(f"{url}/webhdfs/v1{quote(path)}?{query}", method=method, timeout=30).read()
            return json.loads(text) if text else {}
        except HTTPError as error:
            body = error.read().decode(errors="replace")
            try:
                exception = json.loads(body)["RemoteException"]
            except (ValueError, KeyError):
                if error.code == HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise RefusedError(f"{operation} {path}: {url} answers {body[:2000]}") from error
                raise NotNowError(f"{error} {body[:500]}") from error
            if error.code == HTTPStatus.NOT_FOUND and exception["exception"] == "FileNotFoundException":
                return None
            if any(name in f"{exception['exception']} {exception['message']}" for name in NOT_NOW):
                raise NotNowError(exception["message"].splitlines()[0]) from error
            raise RefusedError(f"{operation} {path}: {exception['exception']}: {exception['message']}") from error


def present(hdfs: WebHdfs, path: str) -> Folder | None:
    """A folder as it is, or None where there is none.

    Raises:
        RefusedError: it is a file.
    """
    answer = hdfs.call("GET", path, "GETFILESTATUS")
    if answer is None:
        return None
    status = answer["FileStatus"]
    if status["type"] != "DIRECTORY":
        raise RefusedError(f"{path} is a file. Move it away, or name another folder")
    quota = hdfs.call("GET", path, "GETQUOTAUSAGE")["QuotaUsage"]
    return {
        "owner": status["owner"],
        "group": status["group"],
        "mode": f"{int(status['permission'], 8):04o}",
        "name_quota": max(quota["quota"], 0),
        "space_quota_mb": max(quota["spaceQuota"], 0) / MIB,
    }


def quota(value: int) -> int:
    """A quota as SETQUOTA wants it, which takes away a quota by -1 (HdfsConstants.QUOTA_RESET)."""
    return value or -1


def make(hdfs: WebHdfs, path: str, before: Folder | None, wanted: Folder) -> None:
    """Makes a folder, or changes what differs."""
    if before is None:
        hdfs.call("PUT", path, "MKDIRS", permission=wanted["mode"])
    now = before or {}
    if (now.get("owner"), now.get("group")) != (wanted["owner"], wanted["group"]):
        hdfs.call("PUT", path, "SETOWNER", owner=wanted["owner"], group=wanted["group"])
    if now.get("mode") != wanted["mode"]:
        hdfs.call("PUT", path, "SETPERMISSION", permission=wanted["mode"])
    names, space = wanted["name_quota"], wanted["space_quota_mb"] * MIB
    if (now.get("name_quota", 0), now.get("space_quota_mb", 0)) != (names, wanted["space_quota_mb"]):
        hdfs.call("PUT", path, "SETQUOTA", namespacequota=quota(names), storagespacequota=quota(space))


def main() -> None:
    """Runs the module."""
    folder = {
        "path": {"type": "str", "required": True},
        "owner": {"type": "str"},
        "group": {"type": "str", "default": "hadoop"},
        "mode": {"type": "str", "default": "0755"},
        "name_quota": {"type": "int", "default": 0},
        "space_quota_mb": {"type": "int", "default": 0},
    }
    module = AnsibleModule(
        argument_spec={
            "configuration": {"type": "path", "default": "/etc/hadoop/cluster.xml"},
            "user": {"type": "str", "default": "hdfs"},
            "seconds": {"type": "int", "default": 300},
            "folders": {"type": "list", "elements": "dict", "required": True, "options": folder},
        },
        supports_check_mode=True,
    )
    p = module.params
    paths: list[str] = []
    diffs: list[dict[str, Any]] = []
    path = ""
    try:
        hdfs = WebHdfs(namenodes(p["configuration"]), p["user"], p["seconds"])
        for item in p["folders"]:
            path = item.pop("path")
            wanted = {**item, "owner": item["owner"] or p["user"], "mode": f"{int(item['mode'], 8):04o}"}
            before = present(hdfs, path)
            if before == wanted:
                continue
            if not module.check_mode:
                make(hdfs, path, before, wanted)
            paths.append(path)
            diffs.append({"before_header": path, "after_header": path, "before": before or {}, "after": wanted})
    except NotNowError as error:
        module.fail_json(
            msg=f"{path}: for {p['seconds']} s no NameNode was active and out of safemode. {error}. "
            "See to the DataNodes; safemode ends when they have reported their blocks.",
            paths=paths,
        )
    except (RefusedError, OSError, ValueError, KeyError) as error:
        module.fail_json(msg=f"Making the folder {path} in HDFS failed: {error}", paths=paths)
    module.exit_json(changed=bool(paths), paths=paths, diff=diffs)


if __name__ == "__main__":
    main()
