#!/usr/bin/env python3
"""Verifies what jni/scheduler.hpp assumes of libmesos-1.11.0.so.

    check_layout.py scheduler.hpp libmesos-1.11.0.so

* The sizes of messages, against what T::New() allocates.
* The order of Scheduler's virtual functions, against the virtual table of the library's own subclass,
  mesos::python::ProxyScheduler.

Only Python's standard library and binutils are used.
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

PROXY = "ProxyScheduler"


class Extent(NamedTuple):
    """Where a symbol lies in the library, in bytes."""

    address: int
    size: int


def binutils(*command: str) -> str:
    """What a command writes to standard output."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def exported_symbols(library: str) -> dict[str, Extent]:
    """The symbols that a shared library defines for others, by their mangled names."""
    fields = (line.split() for line in binutils("nm", "-D", "-S", "--defined-only", library).splitlines())
    return {field[3]: Extent(int(field[0], 16), int(field[1], 16)) for field in fields if len(field) == 4}


def allocated(library: str, function: Extent) -> int | None:
    """The operand of a function's call of operator new, in bytes."""
    begin, end = function.address, function.address + function.size
    listing = binutils(
        "objdump", "-d", "--no-show-raw-insn", f"--start-address={begin}", f"--stop-address={end}", library
    )
    match = re.search(r"mov +\$0x([0-9a-f]+),%edi\n.*call .*<_Znwm", listing)
    return int(match[1], 16) if match else None


def virtual_table(library: str, exported: dict[str, Extent], table: str) -> list[str]:
    """The mangled names of the functions in a virtual table, in order; empty for those that are not exported."""
    names = {extent.address: name for name, extent in exported.items()}
    address, size = exported[table]
    entries = []
    for line in binutils("readelf", "-rW", library).splitlines():
        field = line.split()
        if len(field) == 4 and field[2] == "R_X86_64_RELATIVE" and address <= int(field[0], 16) < address + size:
            entries.append((int(field[0], 16), int(field[3], 16)))
    return [names.get(target, "") for _, target in sorted(entries)]


def problems(header: str, library: str) -> list[str]:
    """Where the header is wrong about the library."""
    exported = exported_symbols(library)
    found = []

    messages = re.findall(r"MESSAGE\((\w+), (\d+)\);", header)
    for name, size in messages:
        actual_size = allocated(library, exported[f"_ZNK5mesos{len(name)}{name}3NewEPN6google8protobuf5ArenaE"])
        if actual_size != int(size):
            found.append(f"{name} has {actual_size} bytes, not {size}")

    scheduler = re.search(r"class Scheduler\n.*?\n};", header, re.DOTALL)
    declared = re.findall(r"virtual void (\w+)\(", scheduler[0]) if scheduler else []
    proxy = f"N5mesos6python{len(PROXY)}{PROXY}"
    actual = []
    for entry in virtual_table(library, exported, f"_ZTV{proxy}E"):
        prefix = re.match(rf"_Z{proxy}(\d+)", entry)
        if prefix:  # Then come the function's name, of that length, and "E".
            actual.append(entry[prefix.end() :][: int(prefix[1])])
    if declared != actual:
        found.append(f"Scheduler has {actual}, not {declared}")
    return found


def main() -> None:
    """The program."""
    if len(sys.argv) != 3:
        sys.exit(f"Usage: {sys.argv[0]} scheduler.hpp libmesos-1.11.0.so")
    header, library = sys.argv[1:]
    found = problems(Path(header).read_text(), library)
    if found:
        sys.exit("\n".join([f"{header} does not fit {library}:", *found]))


if __name__ == "__main__":
    main()
