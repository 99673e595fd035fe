"""The helpers of the Mesos agent that libmesos lacks: executors, health checks, fetcher, mesos-docker-task.

Only Python's standard library is used. They run wherever an agent does, under the system's Python.
"""

from typing import Any

MESOS_VERSION = "1.11.0"

# A protobuf message in the form of Mesos' v1 JSON API: bytes in base64, enumerators by name, absent fields absent.
Message = dict[str, Any]
