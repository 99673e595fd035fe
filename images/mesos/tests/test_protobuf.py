"""The wire format of the v0 executor protocol."""

import mmap
from pathlib import Path

import pytest
from mesos_helpers import Message, protobuf
from mesos_helpers.protobuf import ENUMS, SCHEMA, decode, encode


@pytest.mark.parametrize(
    ("message", "value", "wire"),
    [
        ("TaskID", {"value": "a"}, "0a0161"),
        ("Value.Scalar", {"value": 1.0}, "09000000000000f03f"),
        ("DurationInfo", {"nanoseconds": 300}, "08ac02"),
        ("DurationInfo", {"nanoseconds": -1}, "08ffffffffffffffffff01"),
        ("CheckStatusInfo.Tcp", {"succeeded": False}, "0800"),
        ("CheckStatusInfo", {"type": "HTTP", "http": {"status_code": 200}}, "08021a0308c801"),
        ("CommandInfo", {"arguments": ["a", ""]}, "3a01613a00"),
        ("TaskStatus", {"uuid": "AQI="}, "5a020102"),
        ("ShutdownExecutorMessage", {}, ""),
    ],
)
def test_messages_have_the_wire_format_of_protobuf(message: str, value: Message, wire: str) -> None:
    assert encode(message, value).hex() == wire
    assert decode(message, bytes.fromhex(wire)) == value


def test_unknown_fields_are_skipped() -> None:
    # Fields 100 (varint), 101 (64 bits), 102 (length), 103 (32 bits), then the ID's own.
    unknown = "a00601" + "a906" + "00" * 8 + "b206020000" + "bd06" + "00" * 4
    assert decode("TaskID", bytes.fromhex(unknown + "0a0161")) == {"value": "a"}


def test_unknown_enumerators_stay_numbers() -> None:
    assert decode("TaskStatus", bytes.fromhex("10c801")) == {"state": 200}


def test_a_truncated_message_is_an_error() -> None:
    with pytest.raises(ValueError, match="TaskID is truncated: field 1 needs 5 bytes, 1 are left"):
        decode("TaskID", bytes.fromhex("0a0561"))


def test_a_wire_type_of_groups_is_an_error() -> None:
    with pytest.raises(ValueError, match="wire type 3 is not supported"):
        decode("TaskID", bytes.fromhex("0b"))


# descriptor.proto, as far as it is needed to read the descriptors in the library.
DESCRIPTORS = """
FileDescriptorProto: 1 name string, 4 message_type DescriptorProto*, 5 enum_type EnumDescriptorProto*
DescriptorProto: 1 name string, 2 field FieldDescriptorProto*, 3 nested_type DescriptorProto*,
  4 enum_type EnumDescriptorProto*
FieldDescriptorProto: 1 name string, 3 number int, 4 label int, 5 type int, 6 type_name string
EnumDescriptorProto: 1 name string, 2 value EnumValueDescriptorProto*
EnumValueDescriptorProto: 1 name string, 2 number int
"""
KINDS = {
    "double": {1},
    "int": {3, 4, 5, 13},
    "bool": {8},
    "string": {9},
    "bytes": {12},
    "raw": {11},
}
LABEL_REPEATED = 3


def descriptor(library: mmap.mmap, name: str) -> bytes:
    """The serialized FileDescriptorProto with a name: what parses as fields of that message, from its name on."""
    start = library.find(b"\x0a" + bytes([len(name)]) + name.encode())
    end = start
    while library[end] & 7 == 2 and 1 <= library[end] >> 3 <= 12:
        size, at = protobuf._read_varint(library, end + 1)  # type: ignore[arg-type]
        end = at + size
    return library[start:end]


def flatten(prefix: str, message: Message, messages: dict[str, Message], enums: dict[str, Message]) -> None:
    for enum in message.get("enum_type", []):
        enums[f"{prefix}{enum['name']}"] = enum
    for nested in [*message.get("message_type", []), *message.get("nested_type", [])]:
        messages[f"{prefix}{nested['name']}"] = nested
        flatten(f"{prefix}{nested['name']}.", nested, messages, enums)


@pytest.fixture(scope="module")
def described(root: Path) -> tuple[dict[str, Message], dict[str, Message]]:
    """The messages and the enumerations that the library of the package describes itself, by name."""
    schema = protobuf._parse_schema(DESCRIPTORS)
    messages: dict[str, Message] = {}
    enums: dict[str, Message] = {}
    with pytest.MonkeyPatch.context() as patch, (root / "usr/lib/mesos/libmesos-1.11.0.so").open("rb") as file:
        patch.setattr(protobuf, "SCHEMA", schema)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as library:
            for name in ("mesos/mesos.proto", "messages/messages.proto"):
                flatten("", decode("FileDescriptorProto", descriptor(library, name)), messages, enums)
    return messages, enums


def test_all_fields_are_those_that_the_library_describes(
    described: tuple[dict[str, Message], dict[str, Message]],
) -> None:
    messages, _ = described
    for message, fields in SCHEMA.items():
        actual = {f["number"]: f for f in messages[message].get("field", [])}
        for field in fields:
            found = actual[field.number]
            assert found["name"] == field.name, message
            assert (found["label"] == LABEL_REPEATED) == field.repeated, (message, field.name)
            if field.kind in KINDS:
                assert found["type"] in KINDS[field.kind], (message, field.name)
            else:
                kind = found["type_name"].removeprefix(".mesos.").removeprefix("internal.")
                assert kind == field.kind, (message, field.name)


def test_all_enumerators_are_those_that_the_library_describes(
    described: tuple[dict[str, Message], dict[str, Message]],
) -> None:
    _, enums = described
    for enum, enumerators in ENUMS.items():
        actual = {v["name"]: v["number"] for v in enums[enum]["value"]}
        assert enumerators.items() <= actual.items(), enum
