#!/usr/bin/env python3
"""Score the sample through the yard's workers, and print where everything is.

    yard_report.py [--inventory DIR] [--wait SECONDS]

Waits until the scheduler's workers are healthy, scores pmml_worker/sample/sample.tsv through the scoring endpoint, and
prints a table: every node and its roles, the leading Mesos master, the ZooKeeper string, the scoring endpoint, and the
confusion matrix. Exit status: 0 if every row was scored as expected, otherwise 1.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "pmml_worker" / "sample"
MODEL, EXPECTED, TARGET = "sample.rf", "predict", "label"
ROLES = {
    "zookeeper": "ZooKeeper",
    "mesos_masters": "Mesos master, PMML scheduler",
    "mesos_agents": "Mesos agent",
    "registry": "image registry",
}


def read_inventory(inventory: Path) -> dict[str, Any]:
    """What ansible-inventory says of an inventory."""
    command = ["ansible-inventory", f"--inventory={inventory}", "--list"]
    listed: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout)
    return listed


def patiently(what: str, attempt: Callable[[], Any], seconds: float) -> Any:
    """The first true result of an attempt, which may raise OSError meanwhile; shows that it waits.

    Raises:
        SystemExit: there was none in time.
    """
    deadline = time.monotonic() + seconds
    problem: object = "no answer"
    while time.monotonic() < deadline:
        try:
            if result := attempt():
                return result
        except (OSError, ValueError) as error:
            problem = error
        print(f"waiting until {what} ...", file=sys.stderr, flush=True)
        time.sleep(2)
    raise SystemExit(f"{what}: not within {seconds:g} s ({problem}). Look at: journalctl --unit=pmml-scheduler")


def leading_master(addresses: dict[str, str]) -> str:
    """The leading master's `host:port`, to which every master redirects."""
    for address in addresses.values():
        response = requests.get(f"http://{address}:5050/redirect", allow_redirects=False, timeout=5)
        if response.is_redirect:
            leader = response.headers["Location"].removeprefix("//")
            host, _, port = leader.partition(":")
            return f"{addresses.get(host, host)}:{port} ({host})"
    return ""


def score(endpoint: str) -> Counter[tuple[str, str]]:
    """Rows of the sample by expected and scored class."""
    text = (SAMPLE / "sample.tsv").read_text()
    response = requests.post(
        f"{endpoint}/models/{MODEL}/score",
        data=text.encode(),
        headers={"Content-Type": "text/tab-separated-values"},
        timeout=60,
    )
    if not response.ok:
        raise SystemExit(f"{endpoint} refused the sample: {response.status_code} {response.text}")
    expected = [row[EXPECTED] for row in csv.DictReader(io.StringIO(text), delimiter="\t")]
    scored = [row[TARGET] for row in csv.DictReader(io.StringIO(response.text), delimiter="\t")]
    return Counter(zip(expected, scored, strict=True))


def table(rows: list[tuple[str, ...]]) -> str:
    """Rows in aligned columns, indented."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def confusion(counts: Counter[tuple[str, str]]) -> str:
    """The confusion matrix, as text."""
    classes = sorted({name for pair in counts for name in pair})
    rows = [("expected", *(f"scored {name}" for name in classes))]
    rows += [(name, *(str(counts[name, other]) for other in classes)) for name in classes]
    return table(rows)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inventory", type=Path, default=ROOT / "inventories" / "local")
    parser.add_argument("--wait", type=float, default=180, help="seconds to wait for the workers (180)")
    arguments = parser.parse_args()

    inventory = read_inventory(arguments.inventory)
    variables = inventory["_meta"]["hostvars"]
    groups = {group: inventory[group]["hosts"] for group in ROLES}
    nodes = list(dict.fromkeys(host for group in groups.values() for host in group))
    addresses = {h: variables[h].get("nodes_address") or variables[h].get("ansible_host", h) for h in nodes}
    masters = {host: addresses[host] for host in groups["mesos_masters"]}
    endpoint = f"http://{next(iter(masters.values()))}:8090"

    leader = patiently("a Mesos master leads", lambda: leading_master(masters), arguments.wait)

    def healthy() -> Any:
        health = requests.get(f"{endpoint}/health", timeout=5).json()["workers"]
        return health if health["healthy"] >= health["wanted"] > 0 else None

    workers = patiently("the workers are healthy", healthy, arguments.wait)
    counts = score(endpoint)
    right, total = sum(n for (a, b), n in counts.items() if a == b), sum(counts.values())

    zookeeper = ",".join(f"{addresses[host]}:2181" for host in groups["zookeeper"])
    print("\nYour datacenter is up.\n")
    print(table([(h, addresses[h], ", ".join(t for g, t in ROLES.items() if h in groups[g])) for h in nodes]))
    print()
    print(
        table(
            [
                ("leading master", leader),
                ("ZooKeeper", f"zk://{zookeeper}/mesos"),
                ("scoring endpoint", f"{endpoint}/models/{MODEL}/score"),
                ("workers", f"{workers['healthy']} of {workers['wanted']} healthy"),
            ]
        )
    )
    print(f"\n  {SAMPLE.name}/sample.tsv, scored by {MODEL}: {right} of {total} as expected\n")
    print(confusion(counts), "\n", flush=True)
    return 0 if right == total > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
