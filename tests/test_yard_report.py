"""The report at the end of `make up`: what it makes of scores, and of an inventory's hosts."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

from yard_report import Scores, Yard, active_namenode, confusion, problem, score_by_spark

GOOD = Scores("by workers", Counter({("0", "0"): 120, ("1", "1"): 80}), 0.5)


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    """An inventory of which only the gateway is there: this machine."""
    (tmp_path / "hosts.yml").write_text(f"""
gateways:
  hosts:
    here:
      nodes_address: 127.0.0.1
      ansible_connection: local
      ansible_become: false
      ansible_python_interpreter: {sys.executable}
mesos_agents: {{hosts: {{here: {{}}, there: {{ansible_host: 192.0.2.7}}}}}}
""")
    return Yard.read(tmp_path)


def test_a_confusion_matrix_has_a_row_per_expected_and_a_column_per_scored_class() -> None:
    text = confusion(Counter({("0", "0"): 3, ("0", "1"): 1, ("1", "1"): 2}))
    assert [line.split() for line in text.splitlines()] == [
        ["expected", "scored", "0", "scored", "1"],
        ["0", "3", "1"],
        ["1", "0", "2"],
    ]


def test_scores_that_agree_and_are_as_expected_are_no_problem() -> None:
    assert problem([GOOD, Scores("by Spark", Counter(GOOD.counts), 30)]) == ""
    assert "by workers: 200 of 200 as expected, in 0.5 s" in str(GOOD)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({("0", "0"): 119, ("0", "1"): 1, ("1", "1"): 80}, "Scores differ: by workers, and by Spark."),
        ({("0", "0"): 120}, "Scores differ: by workers, and by Spark."),
        ({}, "Scores differ: by workers, and by Spark."),
    ],
)
def test_ways_that_differ_are_a_problem(counts: dict[tuple[str, str], int], message: str) -> None:
    assert problem([GOOD, Scores("by Spark", Counter(counts), 30)]) == message


@pytest.mark.parametrize("counts", [{("0", "1"): 1, ("1", "1"): 80}, {}])
def test_ways_that_agree_on_what_is_not_expected_are_a_problem(counts: dict[tuple[str, str], int]) -> None:
    ways = [Scores(way, Counter(counts), 1) for way in ("by workers", "by Spark")]
    assert problem(ways) == "Scores are not as expected: by workers."


def test_hosts_have_the_address_by_which_they_are_reached(yard: Yard) -> None:
    assert yard.addresses == {"here": "127.0.0.1", "there": "192.0.2.7"}
    assert yard.first("gateways") == "here"
    with pytest.raises(SystemExit, match="the group spark_dispatchers has no host"):
        yard.first("spark_dispatchers")


def test_a_command_on_a_host_gives_what_it_prints(yard: Yard) -> None:
    assert yard.run("here", "ansible.builtin.command", {"argv": ["echo", "two words"]}) == "two words"


def test_a_failed_command_is_told_with_the_end_of_its_output(yard: Yard) -> None:
    with pytest.raises(SystemExit, match=r"here: non-zero return code\nwhy it failed$"):
        yard.run("here", "ansible.builtin.shell", {"cmd": "echo why it failed >&2; exit 3"})


def test_spark_jobs_need_a_user(yard: Yard) -> None:
    with pytest.raises(SystemExit, match="node_users names nobody who could submit a Spark job on here"):
        score_by_spark(yard)


def test_namenodes_that_do_not_answer_are_not_active() -> None:
    assert active_namenode({"nobody": "127.0.0.1:1/"}) == ""
