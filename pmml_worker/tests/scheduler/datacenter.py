"""A small datacenter on loopback for the integration tests: ZooKeeper, three Mesos masters, two agents.

The first agent has Mesos' Docker containerizer, the second starts containers by command, as on a host with cgroup v2
only.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx

T = TypeVar("T")

ZOOKEEPER_JARS = Path("/usr/share/java")
CREDENTIALS = "yard:zookeeper-secret"
PRINCIPAL, SECRET = "pmml-worker", "framework-secret"

SCHEDULER = [
    sys.executable,
    "-c",
    "import os, sys; from pmml_worker.__main__ import main; from pmml_worker.scheduler import service, store, tasks\n"
    "store.SESSION_TIMEOUT = service.SESSION_TIMEOUT = 3.0; service.TEARDOWN_PATIENCE = 5.0\n"
    "tasks.DOCKER_TASK = os.environ['MESOS_DOCKER_TASK']; sys.exit(main())",
    "scheduler",
    "--config",
]
"""The command, with times that suit a test (ZooKeeper gives a dead instance up after 3 seconds), and for a Mesos that
is not installed under /usr."""


def missing() -> str | None:
    """Return what this machine lacks for a datacenter, None if nothing."""
    if not os.environ.get("MESOS_DEB"):
        return "MESOS_DEB does not name the Mesos package"
    if not Path(os.environ["MESOS_DEB"]).is_file():
        return f"MESOS_DEB={os.environ['MESOS_DEB']} does not exist"
    for command in ("java", "docker", "gcc", "dpkg-deb"):
        if shutil.which(command) is None:
            return f"{command} is not installed"
    for jar in ("zookeeper.jar", "slf4j-simple.jar"):
        if not (ZOOKEEPER_JARS / jar).exists():
            return f"{ZOOKEEPER_JARS / jar} is not installed: apt-get install libzookeeper-java libslf4j-java"
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode != 0:
        return "no Docker Engine answers"
    return None


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def listens(port: int) -> bool:
    """Return whether somebody accepts connections on a port."""
    with socket.create_connection(("127.0.0.1", port), 1):
        return True


def eventually(what: str, check: Callable[[], T], seconds: float = 30.0) -> T:
    """Poll until `check` returns something true, and return that."""
    deadline = time.monotonic() + seconds
    problem: object = None
    while time.monotonic() < deadline:
        try:
            if result := check():
                return result
            problem = result
        except (OSError, httpx.HTTPError, KeyError) as error:
            problem = error
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds:.0f} s: {what} (last: {problem!r})")


class Datacenter:
    """Processes and files of one datacenter."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.image = f"scoreyard-test/standin-{uuid.uuid4().hex[:8]}"
        self._processes: list[subprocess.Popen[bytes]] = []
        self.masters: dict[int, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start everything and wait until two agents are registered."""
        subprocess.run(["dpkg-deb", "-x", os.environ["MESOS_DEB"], self.directory / "mesos"], check=True)
        self._build_image()
        self.zookeeper = f"127.0.0.1:{self._start_zookeeper()}"
        zk = f"zk://{CREDENTIALS}@{self.zookeeper}/mesos"
        self.secret("zookeeper", CREDENTIALS)
        credentials = {"credentials": [{"principal": PRINCIPAL, "secret": SECRET}]}
        self.secret("credentials.json", json.dumps(credentials))
        for _ in range(3):
            self.start_master(free_port(), zk)
        agents = [self._start_agent(number, zk) for number in range(2)]

        def registered() -> bool:
            # An agent exits if a container goes away while it looks at it, and other tests may use the same engine.
            for number, agent in enumerate(agents):
                if agent.poll() is not None:
                    agents[number] = self._start_agent(number, zk)
            return bool(self.state()["activated_slaves"] == 2)

        eventually("two agents are registered", registered)

    def stop(self) -> None:
        """Stop everything, the containers too."""
        for process in reversed(self._processes):
            process.kill()
            process.wait()
        for container in self.containers(everything=True):
            subprocess.run(["docker", "rm", "--force", container], check=False, capture_output=True)
        subprocess.run(["docker", "rmi", "--force", self.image], check=False, capture_output=True)

    def secret(self, name: str, text: str) -> Path:
        """Write a file that only its owner may read."""
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_text(text)
        return path

    def _build_image(self) -> None:
        source, context = Path(__file__).parent / "standin", self.directory / "standin"
        context.mkdir()
        shutil.copy(source / "Dockerfile", context)
        subprocess.run(["gcc", "-static", "-O2", "-o", context / "worker", source / "worker.c"], check=True)
        command = ["docker", "build", "--quiet", "--tag", self.image, str(context)]
        subprocess.run(command, check=True, capture_output=True, env=os.environ | {"DOCKER_BUILDKIT": "0"})

    def _spawn(self, name: str, command: list[str | Path], **environment: str) -> subprocess.Popen[bytes]:
        with (self.directory / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=os.environ | environment
            )
        self._processes.append(process)
        return process

    def _start_zookeeper(self) -> int:
        port = free_port()
        data = self.directory / "zookeeper-data"
        configuration = self.directory / "zoo.cfg"
        configuration.write_text(
            f"tickTime=500\ndataDir={data}\nclientPort={port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n"
        )
        jars = f"{ZOOKEEPER_JARS / 'zookeeper.jar'}:{ZOOKEEPER_JARS / 'slf4j-simple.jar'}"
        main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
        self.zookeeper_process = self._spawn("zookeeper", ["java", "-Xmx128m", "-cp", jars, main, configuration])
        eventually("ZooKeeper listens", lambda: listens(port))
        return port

    def start_master(self, port: int, zk: str) -> None:
        """Start a Mesos master."""
        self.masters[port] = self._spawn(
            f"master-{port}",
            [
                self.directory / "mesos/usr/sbin/mesos-master",
                "--ip=127.0.0.1",
                "--hostname=localhost",
                f"--port={port}",
                f"--zk={zk}",
                "--zk_session_timeout=3secs",
                "--quorum=2",
                f"--work_dir={self.directory}/master-{port}",
                "--authenticate_http_frameworks=true",
                "--http_framework_authenticators=basic",
                f"--credentials={self.directory}/credentials.json",
            ],
        )

    def _start_agent(self, number: int, zk: str) -> subprocess.Popen[bytes]:
        begin = 20000 + (free_port() % 100) * 100
        docker, containerizers = [("containerizer", "docker,mesos"), ("command", "mesos")][number]
        return self._spawn(
            f"agent-{number}",
            [
                self.directory / "mesos/usr/sbin/mesos-agent",
                "--ip=127.0.0.1",
                f"--hostname=agent{number}",
                f"--port={free_port()}",
                f"--master={zk}",
                f"--work_dir={self.directory}/agent-{number}",
                f"--runtime_dir={self.directory}/agent-{number}-run",
                f"--launcher_dir={self.directory}/mesos/usr/libexec/mesos",
                "--launcher=posix",
                f"--containerizers={containerizers}",
                "--isolation=posix/cpu,posix/mem",
                "--no-docker_kill_orphans",
                f"--resources=cpus:4;mem:2048;disk:1000;ports:[{begin}-{begin + 49}]",
                f"--attributes=docker:{docker}",
            ],
            MESOS_SYSTEMD_ENABLE_SUPPORT="false",
        )

    def leading_master(self) -> int:
        """Return the leading master's port."""
        for port, process in self.masters.items():
            if process.poll() is None:
                with contextlib.suppress(httpx.HTTPError):
                    answer = httpx.get(f"http://127.0.0.1:{port}/state", timeout=2, follow_redirects=True)
                    if answer.status_code == 200:
                        return int(answer.json()["leader_info"]["port"])
        raise OSError("no master leads")

    def state(self) -> Any:
        """Return the leading master's /state."""
        return httpx.get(f"http://127.0.0.1:{self.leading_master()}/state", timeout=5).json()

    def containers(self, everything: bool = False) -> set[str]:
        """Return the ids of the running stand-in containers, or of all of them."""
        command = ["docker", "ps", "--quiet", "--no-trunc", "--filter", f"ancestor={self.image}"]
        output = subprocess.run(command + ["--all"] * everything, check=True, capture_output=True, text=True).stdout
        return set(output.split())


class Instance:
    """One running instance of the scheduler."""

    def __init__(self, config: Path, log: Path, port: int, environment: dict[str, str]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.log = log
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [*SCHEDULER, str(config)], stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=environment
            )

    def get(self, path: str) -> Any:
        """Return the JSON at a path."""
        answer = httpx.get(self.url + path, timeout=5)
        answer.raise_for_status()
        return answer.json()

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        """End it as a service manager does; return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


class Framework:
    """Instances of the scheduler that share a framework."""

    def __init__(self, datacenter: Datacenter) -> None:
        self.datacenter = datacenter
        self.name = f"pmml-{uuid.uuid4().hex[:8]}"
        self.directory = datacenter.directory / self.name
        self.models = self.directory / "models"
        self.models.mkdir(parents=True)
        self.instances: list[Instance] = []
        docker_task = datacenter.directory / "mesos/usr/libexec/mesos/mesos-docker-task"
        self.environment = os.environ | {"MESOS_DOCKER_TASK": str(docker_task)}
        self.settings: dict[str, object] = {
            "zookeeper": datacenter.zookeeper,
            "zookeeper_credentials_file": str(datacenter.directory / "zookeeper"),
            "znode": f"/{self.name}",
            "principal": PRINCIPAL,
            "secret_file": str(datacenter.secret(f"{self.name}-secret", SECRET)),
            "framework_name": self.name,
            "image": datacenter.image,
            "instances": 2,
            "cpus": 0.5,
            "mem": 64,
            "models_dir": str(self.models),
            "listen_host": "127.0.0.1",
        }

    def configure(self) -> tuple[Path, int]:
        """Write the configuration of one more instance."""
        port = free_port()
        path = self.directory / f"scheduler-{port}.toml"
        settings = self.settings | {"listen_port": port}
        path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items()))
        return path, port

    def spawn(self) -> Instance:
        """Start an instance."""
        path, port = self.configure()
        instance = Instance(path, path.with_suffix(".log"), port, self.environment)
        self.instances.append(instance)
        return instance

    def start(self) -> Instance:
        """Start an instance and wait until it answers."""
        instance = self.spawn()
        eventually("the scheduler answers", lambda: instance.get("/health"))
        return instance

    def teardown(self) -> subprocess.CompletedProcess[str]:
        """Run `pmml-worker scheduler --teardown`."""
        path, _ = self.configure()
        return subprocess.run(
            [*SCHEDULER, str(path), "--teardown"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env=self.environment,
        )


def healthy(instance: Instance, count: int, seconds: float = 40.0) -> list[dict[str, Any]]:
    """Wait until exactly `count` workers are on record, all of them healthy, and return them."""

    def check() -> list[dict[str, Any]]:
        workers: list[dict[str, Any]] = instance.get("/workers")
        return workers if len(workers) == count and all(worker["healthy"] for worker in workers) else []

    return eventually(f"{count} workers are healthy", check, seconds)


@contextlib.contextmanager
def running(directory: Path) -> Iterator[Datacenter]:
    """Yield a running datacenter."""
    datacenter = Datacenter(directory)
    try:
        datacenter.start()
        yield datacenter
    finally:
        datacenter.stop()
