"""The scheduler's configuration: a flat TOML file, read into a frozen, checked dataclass."""

import dataclasses
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pmml_worker.errors import WorkerError


class ConfigError(WorkerError):
    """A configuration that cannot be used; the text names the key, its value and the remedy."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of one instance; every instance of a framework should have the same.

    Attributes:
        zookeeper: addresses of ZooKeeper, `host:port,host:port`.
        image: Docker image of the worker, which listens on port 8080.
        zookeeper_credentials_file: file (mode 0600) with one line `user:password` for ZooKeeper's digest scheme;
            without it the znodes are open to everybody.
        mesos_znode: znode under which the Mesos masters stand for election (the path of their `--zk`).
        znode: znode under which the scheduler keeps its own state.
        principal: principal of the framework; with `secret_file`.
        secret_file: file (mode 0600) that holds the principal's secret alone.
        framework_name: name of the framework.
        role: Mesos role whose resources are used.
        user: Unix user as whom tasks run on the agents; it must be allowed to use Docker.
        instances: number of workers.
        cpus: CPUs of a worker.
        mem: memory of a worker in MiB.
        models_dir: directory with the models on every agent, mounted read-only.
        docker_config_file: Docker's `config.json` on agents that start containers by command, for private registries.
        listen_host: address of the HTTP interface.
        listen_port: port of the HTTP interface.
        failover_timeout: seconds for which Mesos keeps the tasks without any scheduler.
    """

    zookeeper: str
    image: str
    zookeeper_credentials_file: str | None = None
    mesos_znode: str = "/mesos"
    znode: str = "/pmml-worker"
    principal: str | None = None
    secret_file: str | None = None
    framework_name: str = "pmml-worker"
    role: str = "*"
    user: str = "root"
    instances: int = 2
    cpus: float = 0.5
    mem: float = 512.0
    models_dir: str = "/var/lib/pmml-worker/models"
    docker_config_file: str | None = None
    listen_host: str = "0.0.0.0"
    listen_port: int = 8090
    failover_timeout: float = 7 * 86400.0


_NO_PATH = "give an absolute path"
_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "zookeeper": (
        lambda v: re.fullmatch(r"[^\s,:/]+:\d+(,[^\s,:/]+:\d+)*", v) is not None,
        "give host:port for every ZooKeeper server, separated by commas",
    ),
    "image": (lambda v: re.fullmatch(r"\S+", v) is not None, "give an image as docker pull takes it"),
    "zookeeper_credentials_file": (lambda v: v.startswith("/"), _NO_PATH),
    "mesos_znode": (
        lambda v: re.fullmatch(r"(/[^/\s]+)+", v) is not None,
        "give the path in the masters' --zk, e.g. /mesos",
    ),
    "znode": (lambda v: re.fullmatch(r"(/[^/\s]+)+", v) is not None, "give a path such as /pmml-worker"),
    "principal": (lambda v: re.fullmatch(r"[^\s:]+", v) is not None, "give a principal without blanks and colons"),
    "secret_file": (lambda v: v.startswith("/"), _NO_PATH),
    "framework_name": (lambda v: v != "", "give a name"),
    "role": (
        lambda v: re.fullmatch(r"[^\s.\-/][^\s/]*|\*", v) is not None,
        "give a Mesos role, or * for the default role",
    ),
    "user": (lambda v: v != "", "give a user that exists on every agent"),
    "instances": (lambda v: v >= 0, "give a number of workers, 0 or more"),
    "cpus": (lambda v: v >= 0.01, "give a number of CPUs, 0.01 or more"),
    "mem": (lambda v: v >= 32, "give the memory in MiB, 32 or more (the least that Mesos grants)"),
    "models_dir": (lambda v: re.fullmatch(r"/[^:]*", v) is not None, "give an absolute path without colons"),
    "docker_config_file": (
        lambda v: re.fullmatch(r"/(.*/)?config\.json", v) is not None,
        "give the absolute path of a file named config.json, as Docker's client demands",
    ),
    "listen_host": (lambda v: v != "", "give an address, or 0.0.0.0 for all"),
    "listen_port": (lambda v: 0 < v < 65536, "give a port, 1 to 65535"),
    "failover_timeout": (lambda v: v >= 60, "give 60 seconds or more: tasks are killed when it is over"),
}

_TYPES: dict[Any, tuple[tuple[type, ...], str]] = {
    str: ((str,), "a string"),
    str | None: ((str,), "a string"),
    int: ((int,), "an integer"),
    float: ((int, float), "a number"),
}


def parse(text: str, source: str) -> Config:
    """Read a configuration.

    Args:
        text: TOML.
        source: what error messages call it, as a rule the file's path.

    Raises:
        ConfigError: not TOML, or a key is unknown, missing, of the wrong type or out of range.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: not TOML: {error}") from error
    fields = {field.name: field for field in dataclasses.fields(Config)}
    for key, value in table.items():
        if key not in fields:
            raise ConfigError(f"{source}: unknown key {key} = {value!r}: use one of {', '.join(fields)}")
        types, name = _TYPES[fields[key].type]
        if not isinstance(value, types) or isinstance(value, bool):
            raise ConfigError(f"{source}: {key} = {value!r} is not {name}")
        holds, remedy = _CHECKS[key]
        if not holds(value):
            raise ConfigError(f"{source}: {key} = {value!r} cannot be used: {remedy}")
    for key, field in fields.items():
        if field.default is dataclasses.MISSING and key not in table:
            raise ConfigError(f"{source}: {key} is missing: {_CHECKS[key][1]}")
    if ("principal" in table) != ("secret_file" in table):
        raise ConfigError(f"{source}: principal and secret_file go together: give both or none")
    return Config(**table)


def load(path: Path) -> Config:
    """Read the configuration file at `path`.

    Raises:
        ConfigError: it cannot be read or used.
    """
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error


def read_secret(path: str, key: str) -> str:
    """Return the secret that a file holds, without the line's end.

    Args:
        path: the file; only its owner may have access to it.
        key: the configuration's key, for error messages, which never show the secret.

    Raises:
        ConfigError: the file cannot be read, is open to others, or is empty.
    """
    file = Path(path)
    try:
        mode = file.stat().st_mode & 0o777
        secret = file.read_text(encoding="utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{key} = {path!r} cannot be read: {error}") from error
    if mode & 0o077:
        raise ConfigError(f"{key} = {path!r} has mode {mode:04o}, open to others: chmod 0600 {path}")
    if not secret or "\n" in secret:
        raise ConfigError(f"{key} = {path!r} does not hold exactly one line: write the secret alone into it")
    return secret
