"""The package itself, and the programs in it."""

import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from cluster import Cluster, Scheduler, wait_for

# What prepare_libmesos.py changes: at the offset in the file, the artifact's byte and the package's.
TWO_BYTES = {31440424: (0x33, 0x34), 31774528: (0xE3, 0xE4)}
ARTIFACT_SHA256 = "84d7ee9af27e912636b139de40257df1ee4f56c201de6bba834278aa1e8fd64c"
PROGRAMS = [
    "sbin/mesos-master",
    "sbin/mesos-agent",
    "libexec/mesos/mesos-containerizer",
    *(f"libexec/mesos/mesos-{name}" for name in ("executor", "docker-executor", "docker-task", "fetcher")),
]


def field(deb: Path, name: str) -> str:
    return subprocess.run(["dpkg-deb", "-f", str(deb), name], check=True, capture_output=True, text=True).stdout.strip()


def test_libmesos_is_the_artifact_but_for_two_bytes(root: Path) -> None:
    library = bytearray((root / "usr/lib/mesos/libmesos-1.11.0.so").read_bytes())
    for offset, (artifacts, packages) in TWO_BYTES.items():
        assert library[offset] == packages
        library[offset] = artifacts
    assert hashlib.sha256(library).hexdigest() == ARTIFACT_SHA256


def test_everything_that_the_programs_run_is_a_dependency(deb: Path) -> None:
    depends = {dependency.split()[0].partition(":")[0] for dependency in field(deb, "Depends").split(",")}
    libraries = {"libapr1", "libc6", "libcurl4", "libgcc-s1", "libsasl2-2", "libstdc++6", "libsvn1", "zlib1g"}
    commands = {"curl", "libsasl2-modules", "python3", "unzip"}  # tar and util-linux are essential.
    assert depends == libraries | commands
    assert field(deb, "Suggests") == "docker.io"


def test_the_package_has_no_configuration_and_no_units(root: Path) -> None:
    assert sorted(p.name for p in root.iterdir()) == ["usr"]
    assert not list(root.rglob("*.service"))


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_says_its_version(root: Path, program: str) -> None:
    result = subprocess.run([str(root / "usr" / program), "--version"], check=True, capture_output=True, text=True)
    assert "1.11.0" in result.stdout


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_gives_help(root: Path, program: str) -> None:
    result = subprocess.run([str(root / "usr" / program), "--help"], check=True, capture_output=True, text=True)
    assert "Usage: " in result.stdout


@pytest.mark.parametrize("program", [p for p in PROGRAMS if not p.endswith(("docker-task", "containerizer"))])
def test_a_program_refuses_an_unknown_flag(root: Path, program: str) -> None:
    command = [str(root / "usr" / program), "--no-such-flag=1"]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert result.returncode == 1
    assert "no-such-flag" in result.stderr


@pytest.mark.parametrize(("program", "flag"), [("mesos-master", "allocator"), ("mesos-agent", "jwt_secret_key")])
def test_a_flag_of_what_is_left_out_is_refused_by_name(root: Path, program: str, flag: str) -> None:
    command = [str(root / "usr/sbin" / program), f"--{flag}=/dev/null"]
    required = ["--work_dir=/nonexistent", "--master=127.0.0.1:1"] if program == "mesos-agent" else []
    result = subprocess.run([*command, *required], check=False, capture_output=True, text=True)
    assert result.returncode == 1
    assert f"--{flag}" in result.stderr


def test_the_agent_gives_docker_the_registry_credentials_of_docker_config(
    root: Path, image: str, tmp_path: Path
) -> None:
    """A `docker pull` of the Docker containerizer finds --docker_config in its HOME."""
    if not Path("/sys/fs/cgroup/memory").is_dir():
        pytest.skip("Mesos' Docker containerizer needs cgroup v1; /sys/fs/cgroup/memory is not mounted")
    seen = tmp_path / "seen"
    recorder = tmp_path / "docker"
    recorder.write_text(
        f'#!/bin/sh\ncase "$*" in *" pull "*) cp "$HOME/.docker/config.json" {seen}; exit 1;; esac\nexec docker "$@"\n'
    )
    recorder.chmod(0o755)
    config = tmp_path / "config.json"
    auths = {"auths": {"registry.example:5000": {"auth": "dXNlcjpwYXNz"}}}
    config.write_text(json.dumps(auths))
    directory = tmp_path / "cluster"
    directory.mkdir()
    cluster = Cluster(
        root, directory, {"containerizers": "docker", "docker": recorder, "docker_config": f"file://{config}"}
    )
    try:
        with Scheduler(cluster) as scheduler:
            docker = {"type": "DOCKER", "docker": {"image": "registry.example:5000/no-such-image"}}
            scheduler.launch({"command": {"value": "true"}, "container": docker})
            wait_for("docker pull is run", seen.exists)
    finally:
        cluster.close()
    assert json.loads(seen.read_text()) == auths
