"""The house's folder, and what a play that was run for a test did."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Run:
    """What ansible-playbook made of a play on this machine."""

    changed: int
    failed: int
    messages: list[str]
