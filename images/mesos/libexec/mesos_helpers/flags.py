"""Command lines of the helpers, which Mesos always writes as `--name=value`, and Mesos' notation of durations."""

import re
import sys
from collections.abc import Iterable, Sequence

from mesos_helpers import MESOS_VERSION, Message

# Flags that every program of Mesos takes; those of logging mean nothing to these programs.
_COMMON = frozenset(
    {"external_log_file", "help", "initialize_driver_logging", "log_dir", "logbufsecs", "logging_level", "quiet"}
)
_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 1e-3,
    "secs": 1.0,
    "mins": 60.0,
    "hrs": 3600.0,
    "days": 86400.0,
    "weeks": 604800.0,
}


def parse(program: str, arguments: Sequence[str], known: Iterable[str]) -> dict[str, str]:
    """The flags on a command line; `--name` alone means true, `--no-name` false.

    Ends the process for --help and --version, and, as libmesos does, for a flag that is not `known`.
    """
    names = _COMMON.union(known)
    flags: dict[str, str] = {}
    for argument in arguments:
        name, equals, value = argument.removeprefix("--").partition("=")
        if argument == "--version":
            print(f"{program} (Mesos {MESOS_VERSION})")
            raise SystemExit(0)
        if not equals:
            value = "false" if name.startswith("no-") else "true"
            name = name.removeprefix("no-")
        if not argument.startswith("--") or name not in names:
            print(f"Failed to load unknown flag '{argument}' of {program}; see --help", file=sys.stderr)
            raise SystemExit(1)
        flags[name] = value
    if flags.get("help", "false") != "false":
        print(f"Usage: {program} [--flag=value ...]\n\nFlags: {', '.join(sorted(names))}")
        raise SystemExit(0)
    return flags


def seconds(duration: str) -> float:
    """The seconds of a duration such as "15mins" (3rdparty/stout/include/stout/duration.hpp)."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([a-z]+)", duration)
    if match is None or match[2] not in _UNITS:
        raise ValueError(f"'{duration}' is no duration; write a number and one of {', '.join(_UNITS)}")
    return float(match[1]) * _UNITS[match[2]]


def duration_info(message: Message | None, otherwise: float) -> float:
    """The seconds of a DurationInfo message, or `otherwise` without one."""
    return message["nanoseconds"] / 1e9 if message else otherwise
