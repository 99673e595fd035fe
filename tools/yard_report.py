#!/usr/bin/env python3
"""Score the sample in every way that a datacenter offers, and print where everything is.

    yard_report.py [--inventory DIR] [--wait SECONDS]

Waits until the scheduler's workers are healthy and a NameNode is active. Scores pmml_worker/sample/sample.tsv through
the scoring endpoint, and from HDFS to HDFS by Spark on Mesos, as the first of node_users on the first gateway. Prints a
table: every node and its roles, where each service is, and both confusion matrices. Exit status: 0 if every row was
scored as expected both ways, otherwise 1.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
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
    "hdfs_journalnodes": "JournalNode",
    "hdfs_namenodes": "NameNode",
    "hdfs_datanodes": "DataNode",
    "spark_dispatchers": "Spark dispatcher",
    "spark_history_servers": "Spark history server",
    "gateways": "gateway",
}
STAGED = "/var/tmp/scoreyard-sample"
SPARK_SCORE = f"""set -eu
cd {STAGED}
hdfs dfs -put -f {MODEL}.xml sample.tsv .
started=$(date +%s%N)
timeout 600 /opt/pmml-worker/bin/pmml-worker spark-score \\
  --overwrite --keep {EXPECTED} {MODEL}.xml sample.tsv scored.tsv >&2
ended=$(date +%s%N)
echo $(((ended - started) / 1000000))
hdfs dfs -cat 'scored.tsv/part-*'
"""
"""What a user types on a gateway; prints the Spark job's milliseconds, then the scored rows."""


@dataclass(frozen=True)
class Yard:
    """A datacenter as its inventory describes it.

    Attributes:
        inventory: the inventory's folder.
        groups: hosts by group, for the groups of ROLES.
        variables: the inventory's variables by host.
        addresses: where each host is reached from here.
    """

    inventory: Path
    groups: dict[str, list[str]]
    variables: dict[str, dict[str, Any]]
    addresses: dict[str, str]

    @classmethod
    def read(cls, inventory: Path) -> Yard:
        """What ansible-inventory says of an inventory."""
        command = ["ansible-inventory", f"--inventory={inventory}", "--list"]
        listed = json.loads(subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout)
        groups = {group: listed.get(group, {}).get("hosts", []) for group in ROLES}
        variables = listed["_meta"]["hostvars"]
        nodes = dict.fromkeys(host for group in groups.values() for host in group)
        addresses = {h: variables[h].get("nodes_address") or variables[h].get("ansible_host", h) for h in nodes}
        return cls(inventory, groups, variables, addresses)

    def first(self, group: str) -> str:
        """The name of a group's first host.

        Raises:
            SystemExit: the group is empty.
        """
        if not self.groups[group]:
            raise SystemExit(f"{self.inventory}: the group {group} has no host")
        return self.groups[group][0]

    def run(self, host: str, module: str, arguments: dict[str, Any]) -> str:
        """What a module prints that runs on a host as root.

        Raises:
            SystemExit: it failed; with the end of its output.
        """
        command = ["ansible", host, f"--inventory={self.inventory}", "--become", f"--module-name={module}"]
        settings = {
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        }
        done = subprocess.run(
            [*command, f"--args={json.dumps(arguments)}"],
            env=os.environ | settings,
            capture_output=True,
            text=True,
            check=False,
        )
        # Other callbacks print before and after the report.
        _, brace, rest = done.stdout.partition("{")
        if not brace:
            raise SystemExit(f"{host}: {done.stderr}")
        report = json.JSONDecoder().raw_decode(brace + rest)[0]
        result: dict[str, Any] = report["plays"][0]["tasks"][0]["hosts"][host]
        if done.returncode:
            raise SystemExit(f"{host}: {result['msg']}\n" + "\n".join(result.get("stderr_lines", [])[-20:]))
        return str(result.get("stdout", ""))


@dataclass(frozen=True)
class Scores:
    """The sample scored in some way: rows by expected and scored class, and the seconds that it took."""

    way: str
    counts: Counter[tuple[str, str]]
    seconds: float

    @property
    def right(self) -> int:
        """Rows scored as expected."""
        return sum(number for (expected, scored), number in self.counts.items() if expected == scored)

    def __str__(self) -> str:
        total = self.counts.total()
        return (
            f"  {self.way}: {self.right} of {total} as expected, in {self.seconds:.1f} s\n\n{confusion(self.counts)}\n"
        )


def patiently(what: str, unit: str, attempt: Callable[[], Any], seconds: float) -> Any:
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
    raise SystemExit(f"{what}: not within {seconds:g} s ({problem}). Look at: journalctl --unit={unit}")


def leading_master(addresses: dict[str, str]) -> str:
    """The leading master's `host:port`, to which every master redirects."""
    for address in addresses.values():
        response = requests.get(f"http://{address}:5050/redirect", allow_redirects=False, timeout=5)
        if response.is_redirect:
            leader = response.headers["Location"].removeprefix("//")
            host, _, port = leader.partition(":")
            return f"{addresses.get(host, host)}:{port} ({host})"
    return ""


def active_namenode(addresses: dict[str, str]) -> str:
    """The host of the active NameNode."""
    for host, address in addresses.items():
        query = {"qry": "Hadoop:service=NameNode,name=NameNodeStatus"}
        try:
            beans = requests.get(f"http://{address}:9870/jmx", params=query, timeout=5).json()["beans"]
        except OSError:
            continue
        if any(bean["State"] == "active" for bean in beans):
            return host
    return ""


def score_by_workers(endpoint: str) -> Scores:
    """Post the sample to the workers."""
    started = time.monotonic()
    text = (SAMPLE / "sample.tsv").read_text()
    response = requests.post(
        f"{endpoint}/models/{MODEL}/score",
        data=text.encode(),
        headers={"Content-Type": "text/tab-separated-values"},
        timeout=60,
    )
    seconds = time.monotonic() - started
    if not response.ok:
        raise SystemExit(f"{endpoint} refused the sample: {response.status_code} {response.text}")
    counts = Counter(zip(column(text, EXPECTED), column(response.text, TARGET), strict=True))
    return Scores("by the workers over HTTP", counts, seconds)


def score_by_spark(yard: Yard) -> Scores:
    """Put model and sample into HDFS, and have Spark write the scores there."""
    gateway = yard.first("gateways")
    users = yard.variables[gateway].get("node_users") or []
    if not users:
        raise SystemExit(f"{yard.inventory}: node_users names nobody who could submit a Spark job on {gateway}")
    print(f"scoring the sample by Spark on {gateway} as {users[0]['name']} ...", file=sys.stderr, flush=True)
    staged = {"src": f"{SAMPLE}/", "dest": STAGED, "mode": "0644", "directory_mode": "0755"}
    yard.run(gateway, "ansible.builtin.copy", staged)
    job = {"argv": ["runuser", "--login", users[0]["name"], "--command", SPARK_SCORE]}
    milliseconds, _, text = yard.run(gateway, "ansible.builtin.command", job).partition("\n")
    counts = Counter(zip(column(text, EXPECTED), column(text, TARGET), strict=True))
    return Scores("by Spark on Mesos, from HDFS to HDFS", counts, int(milliseconds) / 1000)


def problem(ways: list[Scores]) -> str:
    """What is wrong with the scores; empty if all ways agree, and on what is expected."""
    for scores in ways:
        if scores.counts != ways[0].counts:
            return f"Scores differ: {ways[0].way}, and {scores.way}."
        if not scores.right == scores.counts.total() > 0:
            return f"Scores are not as expected: {scores.way}."
    return ""


def column(text: str, name: str) -> list[str]:
    """A column of a TSV file."""
    return [row[name] for row in csv.DictReader(io.StringIO(text), delimiter="\t")]


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
    parser.add_argument("--wait", type=float, default=180, help="seconds to wait for each service (180)")
    arguments = parser.parse_args()

    yard = Yard.read(arguments.inventory.resolve())
    endpoint = f"http://{yard.addresses[yard.first('mesos_masters')]}:8090"
    namenodes = {host: yard.addresses[host] for host in yard.groups["hdfs_namenodes"]}
    masters = {host: yard.addresses[host] for host in yard.groups["mesos_masters"]}

    leader = patiently("a Mesos master leads", "mesos-master", lambda: leading_master(masters), arguments.wait)

    def healthy() -> Any:
        health = requests.get(f"{endpoint}/health", timeout=5).json()["workers"]
        return health if health["healthy"] >= health["wanted"] > 0 else None

    workers = patiently("the workers are healthy", "pmml-scheduler", healthy, arguments.wait)
    active = patiently("a NameNode is active", "hdfs-namenode", lambda: active_namenode(namenodes), arguments.wait)
    ways = [score_by_workers(endpoint), score_by_spark(yard)]

    zookeeper = ",".join(f"{yard.addresses[host]}:2181" for host in yard.groups["zookeeper"])
    dispatcher = yard.addresses[yard.first("spark_dispatchers")]
    history = yard.addresses[yard.first("spark_history_servers")]
    print("\nYour datacenter is up.\n")
    print(
        table(
            [(h, at, ", ".join(t for g, t in ROLES.items() if h in yard.groups[g])) for h, at in yard.addresses.items()]
        )
    )
    print()
    print(
        table(
            [
                ("leading master", leader),
                ("ZooKeeper", f"zk://{zookeeper}/mesos"),
                ("scoring endpoint", f"{endpoint}/models/{MODEL}/score"),
                ("workers", f"{workers['healthy']} of {workers['wanted']} healthy"),
                ("active NameNode", f"http://{namenodes[active]}:9870 ({active})"),
                ("Spark dispatcher", f"mesos://{dispatcher}:7077, http://{dispatcher}:8081"),
                ("Spark history server", f"http://{history}:18080"),
            ]
        )
    )
    print(f"\n  {SAMPLE.name}/sample.tsv, scored by {MODEL}\n")
    for scores in ways:
        print(scores, flush=True)
    if said := problem(ways):
        print(said, file=sys.stderr)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
