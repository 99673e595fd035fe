"""The commands of an unpacked archive, and what its NameNode says about itself."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Hadoop:
    """An archive with a configuration."""

    home: Path
    conf: Path
    web: str
    """The NameNode's host and port for HTTP."""

    @cached_property
    def environment(self) -> dict[str, str]:
        """The environment of a fresh login, with servers that compile little because they live for a minute."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "JAVA_HOME") if name in os.environ}
        servers = dict.fromkeys(("HDFS_NAMENODE_OPTS", "HDFS_DATANODE_OPTS"), "-XX:TieredStopAtLevel=1")
        return kept | servers | {"HADOOP_CONF_DIR": str(self.conf)}

    def run(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command, and fail with its output if it fails."""
        done = self.call(program, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def call(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command."""
        command = [self.home / "bin" / program, *arguments]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )

    def get(self, path: str) -> bytes:
        """Return what the NameNode's web server has at a path."""
        with urllib.request.urlopen(f"http://{self.web}{path}", timeout=10) as response:
            content: bytes = response.read()
            return content

    def name_node_state(self) -> dict[str, Any]:
        """Return the NameNode's state of the file system, empty as long as it does not answer."""
        try:
            beans = json.loads(self.get("/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState"))["beans"]
        except OSError:
            return {}
        return beans[0] if beans else {}
