"""The whole datacenter as site.yml builds it."""

import re
import subprocess
from typing import Any

import hdfs_client as hdfs
import pytest
import yard

NODES = yard.hosts("nodes")
SERVICES = {
    "zookeeper": ["zookeeper"],
    "mesos_masters": ["mesos-master", "pmml-scheduler"],
    "mesos_agents": ["docker", "mesos-agent", "spark-shuffle"],
    "registry": ["docker-registry"],
    "hdfs_journalnodes": ["hdfs-journalnode"],
    "hdfs_namenodes": ["hdfs-namenode", "hdfs-zkfc"],
    "hdfs_datanodes": ["hdfs-datanode"],
    "spark_dispatchers": ["spark-dispatcher"],
    "spark_history_servers": ["spark-history-server"],
}


@pytest.mark.parametrize("node", NODES)
def test_every_service_of_the_node_is_enabled_and_runs(node: str) -> None:
    host = yard.node(node)
    units = [unit for group, units in SERVICES.items() if node in yard.hosts(group) for unit in units]
    assert units
    for unit in units:
        assert host.service(unit).is_enabled, unit
        assert host.service(unit).is_running, unit
    assert host.check_output("systemctl list-units --failed --no-legend --plain") == ""


def test_one_namenode_is_active_and_all_datanodes_live() -> None:
    yard.wait_for("HDFS is whole", hdfs.whole, 120)


def test_the_dispatcher_waits_for_drivers_as_a_framework_of_mesos() -> None:
    host = yard.address(yard.hosts("spark_dispatchers")[0])
    answer = yard.get(f"http://{host}:7077/v1/submissions/status/none") or {}
    assert answer.get("serverSparkVersion") == "3.5.9"
    frameworks = (yard.mesos("/frameworks") or {})["frameworks"]
    assert [f["active"] for f in frameworks if f["principal"] == "spark-dispatcher"] == [True]


def applications() -> list[dict[str, Any]]:
    """What the history server shows of finished jobs, the latest first."""
    host = yard.address(yard.hosts("spark_history_servers")[0])
    return yard.get(f"http://{host}:18080/api/v1/applications?status=completed") or []


def test_the_report_shows_where_everything_is_and_that_workers_and_spark_score_alike() -> None:
    before = {application["id"] for application in applications()}
    report = subprocess.run(
        [yard.ROOT / "tools" / "yard_report.py"], check=True, capture_output=True, text=True, timeout=600
    ).stdout
    for node in NODES:
        assert re.search(rf"{node} +{yard.address(node)} ", report)
    assert f"({yard.leading_master()})" in report
    assert f"{yard.address('master1')}:2181" in report
    assert f"http://{yard.address(active := hdfs.active())}:9870 ({active})" in report
    assert re.findall(r"(by \w+).*: 200 of 200 as expected", report) == ["by the", "by Spark"]
    print(*(line for line in report.splitlines() if "as expected" in line), sep="\n")

    def scoring() -> list[str]:
        """Users of the jobs that the report ran."""
        new = [job for job in applications() if job["name"] == "spark-score sample.tsv" and job["id"] not in before]
        return [job["attempts"][0]["sparkUser"] for job in new]

    assert yard.wait_for("the history server shows the job", scoring, 120) == [hdfs.USER]


def test_users_find_the_scores_in_their_home_and_others_cannot_change_them() -> None:
    listed = hdfs.request("GET", "LISTSTATUS", f"{hdfs.HOME}/scored.tsv").json()["FileStatuses"]["FileStatus"]
    assert {file["owner"] for file in listed} == {hdfs.USER}
    assert sum(file["length"] for file in listed) > 200
    assert hdfs.refusal(hdfs.request("DELETE", "DELETE", f"{hdfs.HOME}/scored.tsv", user="nobody", recursive="true"))


def test_no_secret_is_in_a_log_or_on_a_command_line() -> None:
    secrets = [yard.secret(path.name) for path in (yard.INVENTORY / "secrets").iterdir() if path.is_file()]
    assert len(secrets) >= 5
    for node in NODES:
        host = yard.node(node)
        seen = host.check_output("journalctl --no-pager --output=cat") + host.check_output("ps -eo args")
        assert "mesos" in seen
        assert not [secret[:4] + "…" for secret in secrets if secret in seen]


def test_files_with_secrets_are_closed_to_other_users() -> None:
    secrets = [yard.secret(path.name) for path in (yard.INVENTORY / "secrets").iterdir() if path.is_file()]
    for node in NODES:
        host = yard.node(node)
        holding = {
            path
            for secret in secrets
            for path in host.run("grep --recursive --files-with-matches --fixed-strings %s /etc", secret).stdout.split()
        }
        for path in holding:
            assert host.file(path).mode & 0o007 == 0, path


def test_the_yard_at_rest_stays_within_8_gib() -> None:
    """Memory of all processes of the nodes that nobody else could use: their private and their shared pages, once."""
    total = 0
    for node in NODES:
        sizes = yard.node(node).check_output(
            "cat /proc/[0-9]*/smaps_rollup 2>/dev/null | awk '/^Pss:/ {s += $2} END {print s}'"
        )
        total += int(sizes)
    print(f"yard at rest: {total / 2**20:.2f} GiB (sum of proportional set sizes)")
    assert total < 8 * 2**20
