"""The protobuf messages of Mesos' v0 executor protocol, as far as the Docker executor needs them.

Field numbers are those of the descriptors in libmesos 1.11.0 (mesos/mesos.proto, messages/messages.proto).
"""

import base64
import struct
from typing import Any, NamedTuple

from mesos_helpers import Message

ENUMS: dict[str, dict[str, int]] = {
    "TaskState": {
        "TASK_STARTING": 0,
        "TASK_RUNNING": 1,
        "TASK_FINISHED": 2,
        "TASK_FAILED": 3,
        "TASK_KILLED": 4,
        "TASK_LOST": 5,
        "TASK_STAGING": 6,
        "TASK_ERROR": 7,
        "TASK_KILLING": 8,
    },
    "TaskStatus.Source": {"SOURCE_MASTER": 0, "SOURCE_SLAVE": 1, "SOURCE_EXECUTOR": 2},
    "TaskStatus.Reason": {
        "REASON_CONTAINER_LAUNCH_FAILED": 21,
        "REASON_CONTAINER_LIMITATION_MEMORY": 8,
        "REASON_MAX_COMPLETION_TIME_REACHED": 33,
        "REASON_TASK_CHECK_STATUS_UPDATED": 28,
        "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED": 29,
    },
    "Value.Type": {"SCALAR": 0, "RANGES": 1, "SET": 2, "TEXT": 3},
    "ContainerInfo.Type": {"DOCKER": 1, "MESOS": 2},
    "ContainerInfo.DockerInfo.Network": {"HOST": 1, "BRIDGE": 2, "NONE": 3, "USER": 4},
    "NetworkInfo.Protocol": {"IPv4": 1, "IPv6": 2},
    "Volume.Mode": {"RW": 1, "RO": 2},
    "Environment.Variable.Type": {"UNKNOWN": 0, "VALUE": 1, "SECRET": 2},
    "HealthCheck.Type": {"UNKNOWN": 0, "COMMAND": 1, "HTTP": 2, "TCP": 3},
    "CheckInfo.Type": {"UNKNOWN": 0, "COMMAND": 1, "HTTP": 2, "TCP": 3},
    "FrameworkInfo.Capability.Type": {"TASK_KILLING_STATE": 2},
}

# MESSAGE: NUMBER NAME TYPE, ...  A type with "*" is that of a repeated field; "raw" leaves a message encoded.
MESSAGES = """
TaskID: 1 value string
SlaveID: 1 value string
FrameworkID: 1 value string
ExecutorID: 1 value string
Value.Scalar: 1 value double
Resource.AllocationInfo: 1 role string
Resource: 1 name string, 2 type Value.Type, 3 scalar Value.Scalar, 11 allocation_info Resource.AllocationInfo
DurationInfo: 1 nanoseconds int
KillPolicy: 1 grace_period DurationInfo
Environment.Variable: 1 name string, 2 value string, 3 type Environment.Variable.Type
Environment: 1 variables Environment.Variable*
CommandInfo: 2 environment Environment, 3 value string, 5 user string, 6 shell bool, 7 arguments string*
ExecutorInfo: 1 executor_id ExecutorID, 5 resources Resource*
Parameter: 1 key string, 2 value string
ContainerInfo.DockerInfo.PortMapping: 1 host_port int, 2 container_port int, 3 protocol string
ContainerInfo.DockerInfo: 1 image string, 2 network ContainerInfo.DockerInfo.Network,
  3 port_mappings ContainerInfo.DockerInfo.PortMapping*, 4 privileged bool, 5 parameters Parameter*,
  6 force_pull_image bool
Volume: 1 container_path string, 2 host_path string, 3 mode Volume.Mode
NetworkInfo.IPAddress: 1 protocol NetworkInfo.Protocol, 2 ip_address string
NetworkInfo: 5 ip_addresses NetworkInfo.IPAddress*, 6 name string
ContainerInfo: 1 type ContainerInfo.Type, 2 volumes Volume*, 3 docker ContainerInfo.DockerInfo, 4 hostname string,
  7 network_infos NetworkInfo*
HealthCheck.HTTPCheckInfo: 1 port int, 2 path string, 3 scheme string, 5 protocol NetworkInfo.Protocol
HealthCheck.TCPCheckInfo: 1 port int, 2 protocol NetworkInfo.Protocol
HealthCheck: 1 http HealthCheck.HTTPCheckInfo, 2 delay_seconds double, 3 interval_seconds double,
  4 timeout_seconds double, 5 consecutive_failures int, 6 grace_period_seconds double, 7 command CommandInfo,
  8 type HealthCheck.Type, 9 tcp HealthCheck.TCPCheckInfo
CheckInfo.Command: 1 command CommandInfo
CheckInfo.Http: 1 port int, 2 path string
CheckInfo.Tcp: 1 port int
CheckInfo: 1 type CheckInfo.Type, 2 command CheckInfo.Command, 3 http CheckInfo.Http, 4 delay_seconds double,
  5 interval_seconds double, 6 timeout_seconds double, 7 tcp CheckInfo.Tcp
TaskInfo.LimitsEntry: 1 key string, 2 value Value.Scalar
TaskInfo: 1 name string, 2 task_id TaskID, 3 slave_id SlaveID, 4 resources Resource*, 5 executor ExecutorInfo,
  7 command CommandInfo, 8 health_check HealthCheck, 9 container ContainerInfo, 12 kill_policy KillPolicy,
  13 check CheckInfo, 14 max_completion_time DurationInfo, 15 limits TaskInfo.LimitsEntry*
ContainerStatus: 1 network_infos NetworkInfo*
CheckStatusInfo.Command: 1 exit_code int
CheckStatusInfo.Http: 1 status_code int
CheckStatusInfo.Tcp: 1 succeeded bool
CheckStatusInfo: 1 type CheckInfo.Type, 2 command CheckStatusInfo.Command, 3 http CheckStatusInfo.Http,
  4 tcp CheckStatusInfo.Tcp
TaskStatus: 1 task_id TaskID, 2 state TaskState, 3 data bytes, 4 message string, 5 slave_id SlaveID,
  6 timestamp double, 7 executor_id ExecutorID, 8 healthy bool, 9 source TaskStatus.Source,
  10 reason TaskStatus.Reason, 11 uuid bytes, 13 container_status ContainerStatus, 15 check_status CheckStatusInfo
StatusUpdate: 1 framework_id FrameworkID, 2 executor_id ExecutorID, 3 slave_id SlaveID, 4 status TaskStatus,
  5 timestamp double, 6 uuid bytes
FrameworkInfo.Capability: 1 type FrameworkInfo.Capability.Type
FrameworkInfo: 10 capabilities FrameworkInfo.Capability*
RegisterExecutorMessage: 1 framework_id FrameworkID, 2 executor_id ExecutorID
ReregisterExecutorMessage: 1 executor_id ExecutorID, 2 framework_id FrameworkID, 3 tasks raw*, 4 updates StatusUpdate*
ExecutorRegisteredMessage: 4 framework_info FrameworkInfo, 5 slave_id SlaveID
ExecutorReregisteredMessage: 1 slave_id SlaveID
ReconnectExecutorMessage: 1 slave_id SlaveID
RunTaskMessage: 4 task raw
KillTaskMessage: 2 task_id TaskID, 3 kill_policy KillPolicy
StatusUpdateMessage: 1 update StatusUpdate, 2 pid string
StatusUpdateAcknowledgementMessage: 3 task_id TaskID, 4 uuid bytes
ShutdownExecutorMessage:
"""


class Field(NamedTuple):
    """A field of a message."""

    number: int
    name: str
    kind: str
    repeated: bool


def _parse_schema(text: str) -> dict[str, list[Field]]:
    schema: dict[str, list[Field]] = {}
    for line in text.replace("\n  ", " ").strip().splitlines():
        message, _, fields = line.partition(":")
        schema[message] = []
        for field in filter(None, map(str.strip, fields.split(","))):
            number, name, kind = field.split()
            schema[message].append(Field(int(number), name, kind.rstrip("*"), kind.endswith("*")))
    return schema


SCHEMA = _parse_schema(MESSAGES)
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5  # The wire types.


def _varint(value: int) -> bytes:
    encoded = bytearray()
    value &= 0xFFFFFFFFFFFFFFFF
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _encode_value(kind: str, value: Any) -> tuple[int, bytes]:
    """The wire type and the bytes of a field's value."""
    if kind == "double":
        return _FIXED64, struct.pack("<d", value)
    if kind in ENUMS:
        return _VARINT, _varint(ENUMS[kind][value])
    if kind in ("int", "bool"):
        return _VARINT, _varint(int(value))
    if kind == "string":
        data = value.encode()
    elif kind == "bytes":
        data = base64.b64decode(value)
    else:
        data = value if kind == "raw" else encode(kind, value)
    return _LENGTH, _varint(len(data)) + data


def encode(message: str, value: Message) -> bytes:
    """The wire format of a message of the named type."""
    encoded = b""
    for field in SCHEMA[message]:
        if field.name in value:
            for item in value[field.name] if field.repeated else [value[field.name]]:
                wire, data = _encode_value(field.kind, item)
                encoded += _varint(field.number << 3 | wire) + data
    return encoded


def _decode_value(kind: str, value: Any) -> Any:
    if kind == "double":
        return struct.unpack("<d", value)[0]
    if kind in ENUMS:
        names = {number: name for name, number in ENUMS[kind].items()}
        return names.get(value, value)
    if kind == "int":
        return value - (1 << 64) if value >> 63 else value
    if kind == "bool":
        return bool(value)
    if kind == "string":
        return value.decode()
    if kind == "bytes":
        return base64.b64encode(value).decode()
    return value if kind == "raw" else decode(kind, value)


def decode(message: str, data: bytes) -> Message:
    """A message of the named type; fields that the schema does not list are skipped."""
    fields = {field.number: field for field in SCHEMA[message]}
    result: Message = {}
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        wire = key & 7
        value: int | bytes
        if wire == _VARINT:
            value, at = _read_varint(data, at)
        else:
            if wire == _LENGTH:
                size, at = _read_varint(data, at)
            elif wire in (_FIXED64, _FIXED32):
                size = 8 if wire == _FIXED64 else 4
            else:
                raise ValueError(f"{message}: wire type {wire} is not supported")
            if at + size > len(data):
                raise ValueError(
                    f"{message} is truncated: field {key >> 3} needs {size} bytes, {len(data) - at} are left"
                )
            value, at = data[at : at + size], at + size
        field = fields.get(key >> 3)
        if field is None:
            continue
        item = _decode_value(field.kind, value)
        if field.repeated:
            result.setdefault(field.name, []).append(item)
        else:
            result[field.name] = item
    return result
