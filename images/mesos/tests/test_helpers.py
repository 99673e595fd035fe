"""Command lines, arguments of docker, and what the fetcher does, without Mesos."""

import http.server
import json
import os
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from mesos_helpers import Message, checks, command, docker, docker_task, fetcher, flags
from mesos_helpers.executor import patience


class NoAgent:
    """An executor.Connection that nothing goes through."""

    identity: Message = {"executor_id": {"value": "task"}}  # noqa: RUF012 (an attribute of the protocol)

    def update(self, update: Message) -> None:
        raise NotImplementedError

    def events(self, subscription: Callable[[], Message]) -> Iterator[Message]:
        raise NotImplementedError


# Flags ----------------------------------------------------------------------------------------------------------------


def test_flags_are_values_or_switches() -> None:
    assert flags.parse("p", ["--a=b=c", "--d", "--no-e", "--help=false"], ["a", "d", "e"]) == {
        "a": "b=c",
        "d": "true",
        "e": "false",
        "help": "false",
    }


@pytest.mark.parametrize("argument", ["--unknown=1", "--no-unknown", "word", "-a"])
def test_an_unknown_flag_is_refused(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        flags.parse("mesos-executor", [argument], ["a"])
    assert end.value.code == 1
    assert f"unknown flag '{argument}' of mesos-executor" in capsys.readouterr().err


@pytest.mark.parametrize(("argument", "expected"), [("--help", "Flags: a,"), ("--version", "mesos-x (Mesos 1.11.0)")])
def test_help_and_version_end_the_program(argument: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        flags.parse("mesos-x", [argument], ["a"])
    assert end.value.code == 0
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize(("text", "expected"), [("5secs", 5.0), ("1.5mins", 90.0), ("100ms", 0.1), ("2weeks", 1209600)])
def test_durations_are_those_of_mesos(text: str, expected: float) -> None:
    assert flags.seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "5", "secs", "5 secs", "-5secs", "5sec"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"'{text}' is no duration"):
        flags.seconds(text)


def test_only_a_checkpointed_executor_waits_for_its_agent() -> None:
    assert patience({}) == 0
    assert patience({"MESOS_CHECKPOINT": "1"}) == 900
    assert patience({"MESOS_CHECKPOINT": "1", "MESOS_RECOVERY_TIMEOUT": "2mins"}) == 120


# Docker's arguments ---------------------------------------------------------------------------------------------------


def resources(**amounts: float) -> list[Message]:
    return [{"name": name, "type": "SCALAR", "scalar": {"value": value}} for name, value in amounts.items()]


def test_resources_become_limits() -> None:
    task = {"resources": resources(cpus=0.5, mem=100.7), "executor": {"resources": resources(cpus=0.25)}}
    assert docker.resource_options(task, cfs_quota=True) == [
        "--cpu-shares",
        "768",
        "--cpu-quota",
        "75000",
        "--memory",
        "100m",
    ]


def test_without_the_quota_cpus_are_shares_only() -> None:
    assert docker.resource_options({"resources": resources(cpus=1)}, cfs_quota=False) == ["--cpu-shares", "1024"]


def test_small_resources_are_raised_to_what_the_kernel_takes() -> None:
    assert docker.resource_options({"resources": resources(cpus=0.001, mem=1)}, cfs_quota=True) == [
        "--cpu-shares",
        "2",
        "--cpu-quota",
        "1000",
        "--memory",
        "32m",
    ]


def limits(**amounts: float) -> list[Message]:
    return [{"key": name, "value": {"value": value}} for name, value in amounts.items()]


def test_limits_above_the_request_reserve_the_request() -> None:
    task = {"resources": resources(cpus=1, mem=64), "limits": limits(cpus=2, mem=128)}
    assert docker.resource_options(task, cfs_quota=True) == [
        "--cpu-shares",
        "1024",
        "--cpu-quota",
        "200000",
        "--memory",
        "128m",
        "--memory-reservation",
        "64m",
    ]


def test_an_infinite_limit_is_none() -> None:
    task = {"resources": resources(cpus=1, mem=64), "limits": limits(cpus=float("inf"), mem=float("inf"))}
    assert docker.resource_options(task, cfs_quota=True) == ["--cpu-shares", "1024", "--memory-reservation", "64m"]


def executor(**more: str) -> docker.DockerExecutor:
    parsed = {"container": "mesos-1", "docker": "docker", "sandbox_directory": "/s", "mapped_directory": "/mnt"}
    return docker.DockerExecutor(NoAgent(), {**parsed, "stop_timeout": "1secs", **more})


def docker_task_info(**fields: object) -> Message:
    info: Message = {"image": "image", "network": "BRIDGE"}
    return {
        "task_id": {"value": "task"},
        "command": fields.pop("command", {"value": "a b"}),
        "container": {"docker": {**info, **fields.pop("docker", {})}, **fields},  # type: ignore[dict-item]
    }


def test_a_shell_command_replaces_the_entry_point() -> None:
    assert executor().arguments(docker_task_info()) == [
        *("run", "--name", "mesos-1", "-v", "/s:/mnt:rw", "--net", "bridge"),
        *("--entrypoint", "/bin/sh", "image", "-c", "a b"),
    ]


def test_arguments_without_a_shell_go_to_the_entry_point() -> None:
    command = {"shell": False, "value": "a", "arguments": ["b", "c d"]}
    assert executor().arguments(docker_task_info(command=command))[-4:] == ["image", "a", "b", "c d"]


def test_networks_ports_volumes_and_parameters_are_options() -> None:
    task = docker_task_info(
        docker={
            "network": "USER",
            "privileged": True,
            "port_mappings": [
                {"host_port": 1, "container_port": 2},
                {"host_port": 3, "container_port": 4, "protocol": "udp"},
            ],
            "parameters": [{"key": "read-only", "value": "true"}],
        },
        network_infos=[{"name": "yard"}],
        hostname="host",
        volumes=[
            {"host_path": "/data", "container_path": "/d", "mode": "RO"},
            {"host_path": "in-sandbox", "container_path": "/x"},
        ],
    )
    options = " ".join(executor().arguments(task))
    for option in (
        "--privileged",
        "-v /data:/d:ro",
        "-v /s/in-sandbox:/x:rw",
        "--net yard",
        "-p 1:2/tcp -p 3:4/udp",
        "--hostname host",
        "--read-only=true",
    ):
        assert option in options


def test_a_volume_that_is_not_the_hosts_is_refused() -> None:
    task = docker_task_info(volumes=[{"container_path": "/d", "source": {}}])
    with pytest.raises(ValueError, match="volume /d has no host_path"):
        executor().arguments(task)


def test_the_variables_of_a_container_win_in_the_order_of_upstream() -> None:
    variables = [
        {"name": "A", "value": "task"},
        {"name": "MESOS_SANDBOX", "value": "no"},
        {"name": "S", "type": "SECRET"},
    ]
    task = docker_task_info(command={"value": "", "environment": {"variables": variables}})
    assert executor(task_environment=json.dumps({"A": "agent", "B": "agent"})).environment(task) == {
        "A": "task",
        "B": "agent",
        "MESOS_SANDBOX": "/mnt",
        "MESOS_CONTAINER_NAME": "mesos-1",
        "MESOS_TASK_ID": "task",
    }


def test_the_environment_file_holds_what_its_format_can() -> None:
    descriptor, others = docker.environment_file({"A": "x y", "EMPTY": "", "LINES": "1\n2"})
    with os.fdopen(descriptor) as file:
        assert file.read() == "A=x y\nEMPTY=\n"
    assert others == {"LINES": "1\n2"}


def test_checks_enter_the_network_of_a_container_but_not_the_hosts() -> None:
    container = {"State": {"Pid": 7}, "HostConfig": {"NetworkMode": "default"}}
    assert docker.network_prefix(container) == ["nsenter", "--net=/proc/7/ns/net", "--"]
    assert docker.network_prefix({**container, "HostConfig": {"NetworkMode": "host"}}) == []


def test_a_check_of_a_container_runs_in_it_without_its_variables_as_arguments() -> None:
    variables = [{"name": "SECRET", "value": "value"}]
    check = {"type": "COMMAND", "command": {"value": "a b", "environment": {"variables": variables}}}
    found = checks.probe(check, executor().runtime())
    assert found.argv[-7:] == ["exec", "--env", "SECRET", "mesos-1", "/bin/sh", "-c", "a b"]
    assert found.environment == {"SECRET": "value"}


@pytest.mark.parametrize(
    ("stop_timeout", "shutdown", "expected"), [("0ns", None, 5), ("0ns", "8secs", 8), ("1mins", "8secs", 60)]
)
def test_a_container_has_the_longer_grace_of_flag_and_agent(
    stop_timeout: str, shutdown: str | None, expected: float
) -> None:
    environment = {"MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": shutdown} if shutdown else {}
    assert docker.kill_grace({"stop_timeout": stop_timeout}, environment) == expected


@pytest.mark.parametrize(
    ("socket", "expected"), [("/run/docker.sock", "unix:///run/docker.sock"), ("tcp://h:1", "tcp://h:1")]
)
def test_the_docker_socket_is_a_path_or_an_address(socket: str, expected: str) -> None:
    assert docker.Docker("docker", socket).argv == ["docker", "-H", expected]


# mesos-docker-task ----------------------------------------------------------------------------------------------------


def test_own_options_lead_and_the_rest_is_dockers() -> None:
    arguments = ["--config=/c", "--docker=/d", "-p", "1:2", "image", "--config=x"]
    assert docker_task.own_options(arguments) == (
        {"config": "/c", "docker": "/d"},
        ["-p", "1:2", "image", "--config=x"],
    )


def test_a_container_is_named_after_the_run_of_its_executor(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "0d2c"
    run.mkdir(parents=True)
    (tmp_path / "runs" / "latest").symlink_to(run)
    assert docker_task.container_name({"MESOS_SANDBOX": str(tmp_path / "runs" / "latest")}) == "mesos-0d2c"


# Command tasks --------------------------------------------------------------------------------------------------------


def launch_info(parsed: dict[str, str], task: Message) -> Message:
    info: Message = command.CommandExecutor(NoAgent(), parsed).launch_info({"resources": [{}], **task})
    variables = {v["name"]: v["value"] for v in info["environment"]["variables"]}
    return {**info, "environment": variables}


def test_the_variables_of_a_command_win_over_the_agents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A", "inherited")
    monkeypatch.setenv("B", "inherited")
    isolators = json.dumps({"variables": [{"name": "A", "value": "isolator"}, {"name": "C", "value": "isolator"}]})
    task = {"command": {"value": "x", "environment": {"variables": [{"name": "C", "value": "task"}]}}}
    found = launch_info({"task_environment": isolators}, task)["environment"]
    assert [found[name] for name in "ABC"] == ["isolator", "inherited", "task"]


def test_a_root_file_system_has_a_working_directory() -> None:
    found = launch_info({"rootfs": "/r", "sandbox_directory": "/mnt", "user": "u"}, {"command": {"value": "x"}})
    assert (found["rootfs"], found["working_directory"], found["user"]) == ("/r", "/mnt", "u")


# The fetcher ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def sandbox(tmp_path: Path) -> Path:
    directory = tmp_path / "sandbox"
    directory.mkdir()
    return directory


def fetch(sandbox: Path, uri: Message, **more: str) -> None:
    fetcher.place({"uri": uri, **more}, {"sandbox_directory": str(sandbox), "cache_directory": str(sandbox.parent)})


@pytest.mark.parametrize("prefix", ["", "file://", "file://localhost"])
def test_local_files_are_copied(sandbox: Path, tmp_path: Path, prefix: str) -> None:
    (tmp_path / "file").write_text("content")
    fetch(sandbox, {"value": f"{prefix}{tmp_path}/file"})
    assert (sandbox / "file").read_text() == "content"


def test_files_may_be_renamed_and_made_executable(sandbox: Path, tmp_path: Path) -> None:
    (tmp_path / "file.zip").write_text("#!/bin/sh")
    fetch(sandbox, {"value": f"{tmp_path}/file.zip", "output_file": "bin/program.zip", "executable": True})
    assert os.access(sandbox / "bin/program.zip", os.X_OK)


def test_archives_are_extracted_unless_that_is_unwanted(sandbox: Path, tmp_path: Path) -> None:
    (tmp_path / "inside").write_text("content")
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "inside", "from-tar")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.write(tmp_path / "inside", "from-zip")
    subprocess.run(["gzip", "--keep", str(tmp_path / "inside")], check=True)
    fetch(sandbox, {"value": f"{tmp_path}/a.tar.gz"})
    fetch(sandbox, {"value": f"{tmp_path}/inside.gz"})
    fetch(sandbox, {"value": f"{tmp_path}/b.zip", "extract": False})
    assert (sandbox / "from-tar").read_text() == (sandbox / "inside").read_text() == "content"
    assert not (sandbox / "from-zip").exists()


def test_the_cache_is_filled_and_used(sandbox: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    uri = {"value": f"{tmp_path}/file"}
    fetch(sandbox, uri, action="DOWNLOAD_AND_CACHE", cache_filename="cached")
    (tmp_path / "file").unlink()
    (sandbox / "file").unlink()
    fetch(sandbox, uri, action="RETRIEVE_FROM_CACHE", cache_filename="cached")
    assert (sandbox / "file").read_text() == "content"


def test_files_are_downloaded_by_http(sandbox: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        fetch(sandbox, {"value": f"http://127.0.0.1:{server.server_port}/file?x=y"})
        server.shutdown()
    assert (sandbox / "file").read_text() == "content"


@pytest.fixture
def hadoop(tmp_path: Path) -> Path:
    """A folder with a program bin/hadoop that writes its arguments to where it should copy to."""
    program = tmp_path / "hadoop/bin/hadoop"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$*" >"$4"\n')
    program.chmod(0o755)
    return program.parents[1]


@pytest.mark.parametrize("uri", ["hdfs://yard/a/file", "hdfs:///a/file", "viewfs://yard/a/file", "s3a://bucket/a/file"])
def test_other_uris_are_copied_by_the_hadoop_of_hadoop_home(
    sandbox: Path, hadoop: Path, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    monkeypatch.setenv("HADOOP_HOME", str(hadoop))
    fetch(sandbox, {"value": uri})
    assert (sandbox / "file").read_text() == f"fs -copyToLocal {uri} {sandbox}/file\n"


def test_without_hadoop_home_the_command_hadoop_is_taken(
    sandbox: Path, hadoop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HADOOP_HOME", raising=False)
    monkeypatch.setenv("PATH", f"{hadoop}/bin", prepend=":")
    fetch(sandbox, {"value": "hdfs://yard/file"})
    assert (sandbox / "file").exists()


def test_a_missing_hadoop_client_is_named_with_the_remedy(
    sandbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HADOOP_HOME", str(tmp_path))
    message = (
        rf"^'hdfs://yard/file' needs a Hadoop client, but {tmp_path}/bin/hadoop cannot be run "
        r"\(No such file or directory\): install one here, and give its folder to the agent as --hadoop_home$"
    )
    with pytest.raises(SystemExit, match=message):
        fetch(sandbox, {"value": "hdfs://yard/file"})


def test_a_failure_of_hadoop_names_the_uri_without_its_credentials(
    sandbox: Path, hadoop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (hadoop / "bin/hadoop").write_text("#!/bin/sh\nexit 3\n")
    monkeypatch.setenv("HADOOP_HOME", str(hadoop))
    with pytest.raises(SystemExit, match=r"^'s3a://bucket/file' cannot be fetched: .* ended with status 3; see above"):
        fetch(sandbox, {"value": "s3a://key:secret@bucket/file"})


def test_a_relative_path_needs_a_directory(sandbox: Path) -> None:
    with pytest.raises(SystemExit, match="'file' is a relative path and --frameworks_home is not set"):
        fetch(sandbox, {"value": "file"})


def test_what_is_logged_of_a_uri_has_no_credentials() -> None:
    assert fetcher.without_credentials("https://user:pass@host:1/a?token=b") == "https://host:1/a"
