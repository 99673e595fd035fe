"""What the tests of Spark share: a name and a folder in HDFS per test, on a datacenter all of whose parts serve."""

import uuid
from collections.abc import Iterator

import hdfs_client
import pytest
import spark_client


@pytest.fixture(scope="module", autouse=True)
def settled() -> None:
    """Every file of tests begins with a datacenter all of whose parts serve."""
    spark_client.settle()


@pytest.fixture
def name() -> str:
    """The name of the test's own application."""
    return f"test-{uuid.uuid4()}"


@pytest.fixture(scope="module")
def folder() -> Iterator[str]:
    """A folder of the user's in HDFS that others can read, as drivers of cluster mode must."""
    path = f"/tmp/test-{uuid.uuid4()}"
    assert hdfs_client.request("PUT", "MKDIRS", path, permission="755").ok
    yield path
    assert hdfs_client.request("DELETE", "DELETE", path, recursive="true").ok
