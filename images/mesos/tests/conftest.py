"""Fixtures of the integration tests, which need the built package and, in part, Docker Engine."""

import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster, Scheduler

IMAGE = os.environ.get("MESOS_TEST_IMAGE", "scoreyard/base:bookworm")


@pytest.fixture(scope="session")
def deb() -> Path:
    """The built package."""
    path = os.environ.get("MESOS_DEB")
    if not path:
        pytest.skip("MESOS_DEB does not name a built package")
    return Path(path)


@pytest.fixture(scope="session")
def root(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the files of the package."""
    directory = tmp_path_factory.mktemp("package")
    subprocess.run(["dpkg", "-x", str(deb), str(directory)], check=True)
    return directory


@pytest.fixture(scope="session")
def image() -> str:
    """An image that has Python, in a Docker Engine that answers."""
    try:
        found = subprocess.run(["docker", "image", "inspect", IMAGE], check=False, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no docker command")
    if found.returncode != 0:
        pytest.skip(f"Docker Engine does not answer or has no image {IMAGE}: {found.stderr.decode().strip()}")
    return IMAGE


@pytest.fixture
def container_image(image: str) -> Iterator[str]:
    """The image under a name of the test's own, so that the test finds the containers that it started."""
    name = f"mesos-test:{uuid.uuid4().hex[:8]}"
    subprocess.run(["docker", "tag", image, name], check=True)
    yield name
    ids = subprocess.run(
        ["docker", "ps", "--all", "--quiet", "--filter", f"ancestor={name}"], check=True, capture_output=True, text=True
    ).stdout.split()
    own = [i for i in ids if _image_of(i) == name]
    if own:
        subprocess.run(["docker", "rm", "--force", *own], check=True, capture_output=True)
    subprocess.run(["docker", "rmi", name], check=True, capture_output=True)


def _image_of(container: str) -> str:
    command = ["docker", "inspect", "--format", "{{.Config.Image}}", container]
    return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="session")
def command_cluster(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster as on a host with cgroup v2 only: the Mesos containerizer, no cgroups."""
    cluster = Cluster(root, tmp_path_factory.mktemp("command"), {"containerizers": "mesos"})
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def docker_cluster(root: Path, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with the Docker containerizer."""
    if not Path("/sys/fs/cgroup/memory").is_dir():
        pytest.skip("Mesos' Docker containerizer needs cgroup v1; /sys/fs/cgroup/memory is not mounted")
    flags = {"containerizers": "docker,mesos", "cgroups_enable_cfs": "true", "docker_remove_delay": "1secs"}
    cluster = Cluster(root, tmp_path_factory.mktemp("docker"), flags)
    yield cluster
    cluster.close()


@pytest.fixture
def command_scheduler(command_cluster: Cluster) -> Iterator[Scheduler]:
    """A framework on the cluster without cgroups."""
    with Scheduler(command_cluster) as scheduler:
        yield scheduler


@pytest.fixture
def docker_scheduler(docker_cluster: Cluster) -> Iterator[Scheduler]:
    """A framework on the cluster with the Docker containerizer."""
    with Scheduler(docker_cluster) as scheduler:
        yield scheduler
