#!/usr/bin/python3
"""Ansible module: weights and quota of the roles of a Mesos cluster."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urljoin

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url

DOCUMENTATION = """
module: mesos_allocation
short_description: Set weights and quota of Mesos roles
description:
  - Compares the weights and quota of the named roles with those of the leading master and sets those that differ.
  - "Source: the operator HTTP API of Mesos 1.11, calls GET_WEIGHTS, UPDATE_WEIGHTS, GET_QUOTA and UPDATE_QUOTA."
options:
  url: {description: Address of any master., type: str, required: true}
  principal: {description: Principal that may change weights and quota., type: str, required: true}
  secret: {description: Its secret., type: str, required: true}
  weights: {description: Weight by role., type: dict, default: {}}
  quota: {description: Guarantees and limits by role., type: dict, default: {}}
"""

EXAMPLES = """
- mesos_allocation:
    url: http://master1:5050
    principal: admin
    secret: "{{ secret }}"
    weights: {pmml: 2.0}
    quota: {pmml: {limits: {cpus: 2, mem: 2048}}}
"""

Amounts = dict[str, float]


def leader(url: str) -> str:
    """The address of the leading master, to which any master redirects."""
    try:
        open_url(f"{url}/redirect", follow_redirects="none", timeout=10)
    except HTTPError as response:
        if response.code == HTTPStatus.TEMPORARY_REDIRECT:
            return str(urljoin(url, response.headers["Location"]))
        raise
    raise ValueError(f"{url}/redirect does not name a leader")


class Master:
    """The leading master's operator API."""

    def __init__(self, url: str, principal: str, secret: str) -> None:
        self.login = {"url_username": principal, "url_password": secret, "force_basic_auth": True}
        self.url = leader(url)

    def call(self, kind: str, **fields: Any) -> Any:
        """Makes one call and returns the JSON of the response, or None where it has no body."""
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        body = json.dumps({"type": kind, **fields})
        text = open_url(f"{self.url}/api/v1", data=body, headers=headers, timeout=30, **self.login).read()
        return json.loads(text) if text else None


def amounts(scalars: dict[str, Any] | None) -> Amounts:
    """The amounts of a map of Value.Scalar messages, or of plain numbers."""
    return {
        name: float(value["value"] if isinstance(value, dict) else value) for name, value in (scalars or {}).items()
    }


def quota_config(role: str, config: dict[str, Any]) -> dict[str, Any]:
    """A QuotaConfig message with plain numbers; absent guarantees and limits are empty."""
    unknown = set(config) - {"role", "guarantees", "limits"}
    if unknown:
        raise ValueError(f"quota of role {role}: unknown key {', '.join(sorted(unknown))}; use guarantees and limits")
    return {
        "role": role,
        "guarantees": amounts(config.get("guarantees")),
        "limits": amounts(config.get("limits")),
    }


def differing(master: Master, weights: dict[str, Any], quota: dict[str, Any]) -> tuple[Amounts, list[dict[str, Any]]]:
    """The weights, and the quota configs, that differ from those of the master."""
    infos = master.call("GET_WEIGHTS").get("get_weights", {}).get("weight_infos", [])
    present = {info["role"]: float(info["weight"]) for info in infos}
    new_weights = {role: float(weight) for role, weight in weights.items() if present.get(role) != float(weight)}

    configs = master.call("GET_QUOTA").get("get_quota", {}).get("status", {}).get("configs", [])
    present_quota = {config["role"]: quota_config(config["role"], config) for config in configs}
    wanted = [quota_config(role, config or {}) for role, config in quota.items()]
    none: dict[str, Amounts] = {"guarantees": {}, "limits": {}}
    new_quota = [
        config for config in wanted if config != present_quota.get(config["role"], {"role": config["role"], **none})
    ]
    return new_weights, new_quota


def scalars(amounts_: Amounts) -> dict[str, Any]:
    """A map of Value.Scalar messages."""
    return {name: {"value": value} for name, value in amounts_.items()}


def main() -> None:
    """Runs the module."""
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "principal": {"type": "str", "required": True},
            "secret": {"type": "str", "required": True, "no_log": True},
            "weights": {"type": "dict", "default": {}},
            "quota": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    p = module.params
    try:
        master = Master(p["url"], p["principal"], p["secret"])
        weights, quota = differing(master, p["weights"], p["quota"])
        if weights and not module.check_mode:
            infos = [{"role": role, "weight": weight} for role, weight in weights.items()]
            master.call("UPDATE_WEIGHTS", update_weights={"weight_infos": infos})
        if quota and not module.check_mode:
            configs = [{**c, "guarantees": scalars(c["guarantees"]), "limits": scalars(c["limits"])} for c in quota]
            master.call("UPDATE_QUOTA", update_quota={"quota_configs": configs})
    except (OSError, ValueError, KeyError) as error:
        detail = error.read().decode() if hasattr(error, "read") else ""
        module.fail_json(msg=f"Setting weights and quota by {p['url']} failed: {error} {detail}".strip())
    module.exit_json(changed=bool(weights or quota), weights=weights, quota=quota)


if __name__ == "__main__":
    main()
