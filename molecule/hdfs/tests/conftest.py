"""What the tests of HDFS share: every one begins with all of HDFS in order, and has a folder of its own."""

import uuid
from collections.abc import Iterator

import hdfs_client
import pytest
import yard
from hdfs_client import HOME, Copy


@pytest.fixture(autouse=True)
def settled() -> None:
    """Every test begins with one active NameNode, one standby, and all replicas."""
    yard.wait_for("HDFS is whole", hdfs_client.whole, 120)


@pytest.fixture
def folder(settled: None) -> Iterator[str]:
    """A new folder of the user's."""
    path = f"{HOME}/{uuid.uuid4()}"
    assert hdfs_client.request("PUT", "MKDIRS", path).ok
    yield path
    assert hdfs_client.request("DELETE", "DELETE", path, hdfs_client.SUPERUSER, recursive="true").ok


@pytest.fixture
def copy(folder: str) -> Iterator[Copy]:
    """A copy of the user's into HDFS, which has begun."""
    running = Copy(f"{folder}/copied")
    try:
        running.goes_on()
        yield running
    finally:
        running.abandon()
