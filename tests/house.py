"""The house's folder, and what a play that was run for a test did."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HOUSE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Run:
    """What ansible-playbook made of a play on this machine."""

    changed: list[str]
    """Names of the tasks that changed something, in order."""
    messages: list[str]
    """Messages of the tasks that failed."""
