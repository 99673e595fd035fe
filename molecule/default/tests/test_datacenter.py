"""The whole datacenter as site.yml builds it."""

import re
import subprocess

import pytest
import yard

NODES = yard.hosts("nodes")
SERVICES = {
    "zookeeper": ["zookeeper"],
    "mesos_masters": ["mesos-master", "pmml-scheduler"],
    "mesos_agents": ["docker", "mesos-agent"],
    "registry": ["docker-registry"],
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


def test_the_report_shows_every_node_and_a_perfect_confusion_matrix() -> None:
    report = subprocess.run(
        [yard.ROOT / "tools" / "yard_report.py"], check=True, capture_output=True, text=True, timeout=300
    ).stdout
    for node in NODES:
        assert re.search(rf"{node} +{yard.address(node)} ", report)
    assert f"({yard.leading_master()})" in report
    assert f"{yard.address('master1')}:2181" in report
    assert "200 of 200 as expected" in report


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


def test_the_yard_at_rest_stays_within_4_gib() -> None:
    """Memory of all processes of the nodes that nobody else could use: their private and their shared pages, once."""
    total = 0
    for node in NODES:
        sizes = yard.node(node).check_output(
            "cat /proc/[0-9]*/smaps_rollup 2>/dev/null | awk '/^Pss:/ {s += $2} END {print s}'"
        )
        total += int(sizes)
    print(f"yard at rest: {total / 2**20:.2f} GiB (sum of proportional set sizes)")
    assert total < 4 * 2**20
