"""Bad input is refused with the remedy, before any service is touched."""

import json

import hdfs_client
import pytest
import yard
from hdfs_client import NAMENODES, started

PLAYBOOK = "playbooks/hdfs.yml"


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"hadoop_archive_sha256": "0" * 64}, ["Artifact hadoop", "0" * 64, "make artifacts"]),
        ({"hadoop_namenode_hosts": ["master1", "nowhere"]}, ["cannot resolve nowhere", "node_hosts"]),
        (
            {"hdfs_namenode_heap_mb": 8888888, "hdfs_datanode_heap_mb": 9999999},
            ["hdfs_namenode_heap_mb = 8888888", "hdfs_datanode_heap_mb = 9999999", "Lower one"],
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_values_are_refused_before_any_service_is_touched(variables: dict[str, object], named: list[str]) -> None:
    before = started()
    message = yard.refused(PLAYBOOK, f"--extra-vars={json.dumps(variables)}")
    assert not [words for words in named if words not in message], message
    assert started() == before


def test_a_jvm_that_does_not_come_up_fails_the_play_with_the_end_of_its_log_and_one_node_down() -> None:
    standby, active = hdfs_client.standby(), hdfs_client.active()
    bad = {"hdfs_namenode_java_options": ["-XX:+NoSuchOption"], "hdfs_namenode_health_seconds": 10}
    with yard.restored(PLAYBOOK, "--tags=hdfs_namenode"):
        message = yard.refused(PLAYBOOK, "--tags=hdfs_namenode", f"--extra-vars={json.dumps(bad)}")
        assert "Unrecognized VM option 'NoSuchOption'" in message
        assert f"hdfs-namenode on {standby} is not healthy" in message
        assert hdfs_client.state(active) == "active"
        assert [host for host in NAMENODES if not hdfs_client.state(host)] == [standby]
