"""The ZooKeeper ensemble as its clients see it."""

from __future__ import annotations

import threading
import time
from typing import Self

import yard

MEMBERS = yard.hosts("zookeeper")


def modes() -> list[str]:
    """The members' modes, sorted; empty strings for members that take no part in a quorum."""
    return sorted(yard.mode(member) for member in MEMBERS)


def main_process(member: str) -> str:
    """The process id of a member's server."""
    return str(yard.node(member).check_output("systemctl show zookeeper --property=MainPID --value"))


class Poller:
    """Counts, every tenth of a second, the members that are alive, and the time in seconds without one that serves."""

    def __init__(self) -> None:
        self.fewest_alive = len(MEMBERS)
        self.samples = 0
        self.longest_gap = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll)

    def _poll(self) -> None:
        served = time.monotonic()
        while not self._stop.wait(0.1):
            alive = [yard.four_letter_word(member, "ruok") == "imok" for member in MEMBERS]
            self.fewest_alive = min(self.fewest_alive, sum(alive))
            if any(yard.mode(member) for member in MEMBERS):
                served = time.monotonic()
            self.longest_gap = max(self.longest_gap, time.monotonic() - served)
            self.samples += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
