"""Formatted once, and never again where there is data."""

import hdfs_client
import yard
from hdfs_client import JOURNALNODES, NAMENODES, active, standby

NAMENODE = ("playbooks/hdfs.yml", "--tags=hdfs_namenode")
METADATA = "/var/lib/hadoop-hdfs/namenode"


def test_a_standby_whose_folder_is_empty_gets_the_same_namespace_again() -> None:
    host = standby()
    expected = hdfs_client.cluster_id(active())
    assert expected
    node = yard.node(host)
    node.check_output("systemctl stop hdfs-namenode && find %s -mindepth 1 -delete", METADATA)
    yard.play(*NAMENODE)
    yard.wait_for("HDFS is whole", hdfs_client.whole)
    assert {hdfs_client.cluster_id(name) for name in NAMENODES} == {expected}
    assert node.file(f"{METADATA}/current/VERSION").contains(expected)


def test_namenodes_without_data_are_not_formatted_where_the_journals_have_some() -> None:
    expected = hdfs_client.cluster_id(active())
    try:
        for host in NAMENODES:
            yard.node(host).check_output(
                "systemctl stop hdfs-zkfc hdfs-namenode && mv %s %s.kept && install -d -o hdfs -g hadoop -m 0700 %s",
                METADATA,
                METADATA,
                METADATA,
            )
        message = yard.refused(*NAMENODE)
        assert JOURNALNODES[0] in message and METADATA in message
        for host in NAMENODES:
            assert not yard.node(host).file(f"{METADATA}/current").exists
    finally:
        for host in NAMENODES:
            yard.node(host).check_output(
                "if [ -e %s.kept ]; then rm -rf %s && mv %s.kept %s; fi; systemctl start hdfs-namenode hdfs-zkfc",
                METADATA,
                METADATA,
                METADATA,
                METADATA,
            )
    yard.wait_for("HDFS is whole", hdfs_client.whole, 120)
    assert {hdfs_client.cluster_id(name) for name in NAMENODES} == {expected}
