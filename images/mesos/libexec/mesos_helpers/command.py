"""mesos-executor: the executor of command tasks in the Mesos containerizer (src/launcher/executor.cpp)."""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

from mesos_helpers import Message, checks, flags, http_api
from mesos_helpers.executor import Connection, Executor

FLAGS = (
    "bounding_capabilities", "effective_capabilities", "launcher_dir", "rootfs", "sandbox_directory",
    "task_command", "task_environment", "task_launch_info", "task_supplementary_groups", "user", "working_directory",
)  # fmt: skip
KILL_GRACE = 3.0


class CommandExecutor(Executor):
    """Runs a command through `mesos-containerizer launch`, which enters the task's root file system and becomes its
    user, if any."""

    def __init__(self, agent: Connection, flags: dict[str, str]) -> None:
        super().__init__(agent, KILL_GRACE)
        self._flags = flags

    def start(self, task: Message) -> subprocess.Popen[bytes]:
        """Starts the task in a session of its own."""
        arguments = [os.path.join(self._flags["launcher_dir"], "mesos-containerizer"), "launch"]
        if "rootfs" in self._flags:
            arguments.append("--unshare_namespace_mnt")
        # Not by --launch_info: arguments can be read by every user of the machine, and these hold the environment.
        environment = {**os.environ, "MESOS_CONTAINERIZER_LAUNCH_INFO": json.dumps(self.launch_info(task))}
        return subprocess.Popen(arguments, env=environment, start_new_session=True)

    def launch_info(self, task: Message) -> Message:
        """The ContainerLaunchInfo of a task."""
        flags = self._flags
        command = json.loads(flags["task_command"]) if "task_command" in flags else task["command"]
        role = task["resources"][0].get("allocation_info", {}).get("role", "*")
        environment = {
            **os.environ,
            **checks.environment_of({"environment": json.loads(flags.get("task_environment", "{}"))}),
            **checks.environment_of(command),
            "MESOS_ALLOCATION_ROLE": role,
        }
        info: Message = {
            "command": {"shell": True, **command},
            "environment": {"variables": [{"name": n, "type": "VALUE", "value": v} for n, v in environment.items()]},
        }
        launch_info = json.loads(flags.get("task_launch_info", "{}"))
        for field in ("mounts", "file_operations", "pre_exec_commands", "clone_namespaces"):
            if field in launch_info:
                info[field] = launch_info[field]
        for field in ("effective_capabilities", "bounding_capabilities"):
            if field in flags:
                info[field] = json.loads(flags[field])
        if "task_supplementary_groups" in flags:
            info["supplementary_groups"] = [int(g) for g in flags["task_supplementary_groups"].split(",")]
        if "user" in flags:
            info["user"] = flags["user"]
        if "rootfs" in flags:
            info["rootfs"] = flags["rootfs"]
            info["working_directory"] = flags.get("working_directory", flags["sandbox_directory"])
        return info

    def runtime(self) -> checks.Runtime:
        """The executor shares its task's network; a task with a root file system has a mount namespace of its own."""
        if "rootfs" not in self._flags or self._process is None:
            return checks.Runtime()
        enter = ["nsenter", f"--mount=/proc/{self._process.pid}/ns/mnt", "--"]
        return checks.Runtime(command=lambda command: [*enter, *checks.plain_command(command)])

    def stop(self, grace: float) -> None:
        """Sends SIGTERM to the task's process group, then SIGKILL."""
        if self._process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, number)
                self._process.wait(grace)
            except ProcessLookupError:
                return
            except subprocess.TimeoutExpired:
                continue


def main(arguments: Sequence[str] = sys.argv[1:]) -> None:
    """The program mesos-executor."""
    parsed = flags.parse("mesos-executor", arguments, FLAGS)
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s", level=logging.INFO)
    CommandExecutor(http_api.Agent(), parsed).run()
