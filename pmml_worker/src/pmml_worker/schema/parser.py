"""A streaming parser: expat's events to the dataclasses of `elements`, whose types say what goes where."""

import dataclasses
import io
import types
import typing
from collections.abc import Callable
from typing import IO, Any

from pmml_worker.errors import SchemaError
from pmml_worker.kernels import _native
from pmml_worker.schema import nodes
from pmml_worker.schema.elements import (
    PMML,
    UNSUPPORTED_MODELS,
    Element,
    Extension,
    Foreign,
    ModelElement,
    Row,
)
from pmml_worker.schema.nodes import NodeTable

_PIECE = 1 << 20
"""Bytes of a document that are read together."""

_DEEPEST = 200
"""How deep elements may stand in one another, nodes of trees aside: what compiles and scores them goes as deep."""

# They describe how a model was made, found or tested; no score depends on them.
_DESCRIPTIVE = frozenset({
    "Extension", "MiningBuildTask", "ModelStats", "ModelExplanation", "Partition", "UnivariateStats",
})  # fmt: skip


@dataclasses.dataclass(slots=True)
class _Child:
    """What a child element is to its parent: the field that it goes to, alone or with others."""

    field: str
    is_many: bool
    cls: type[Any]
    spec: "_Spec | None" = None


@dataclasses.dataclass(frozen=True, slots=True)
class _Spec:
    """How to make one element class of what the document holds."""

    cls: type[Any]
    tag: str
    attributes: dict[str, tuple[str, Callable[[str], Any] | None]]
    children: dict[str, _Child]
    has_text: bool
    required: dict[str, str]


def _camel(name: str) -> str:
    head, *tail = name.rstrip("_").split("_")
    return head + "".join(part.capitalize() for part in tail)


def _boolean(text: str) -> bool:
    if text in ("true", "1"):
        return True
    if text in ("false", "0"):
        return False
    raise ValueError("it is neither true nor false")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("it is no number") from None


def _integer(text: str) -> int:
    number = _number(text)
    if not number.is_integer():
        raise ValueError("it is not an integer")
    return int(number)


def _choice(values: tuple[str, ...]) -> Callable[[str], str]:
    known = {value: value for value in values}

    def convert(text: str) -> str:
        found = known.get(text)
        if found is None:
            raise ValueError(f"it is none of {', '.join(values)}")
        return found

    return convert


_CONVERTERS: dict[Any, Callable[[str], Any] | None] = {str: None, float: _number, int: _integer, bool: _boolean}


def _members(hint: Any) -> list[Any]:
    """The types that a hint is a union of, without None."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [member for arg in typing.get_args(hint) for member in _members(arg)]
    if hint is ModelElement:
        return list(ModelElement.__subclasses__())
    return [] if hint is type(None) else [hint]


_SPECS: dict[type[Any], _Spec] = {}


def _spec(cls: type[Any]) -> _Spec:
    """The specification of an element class, made when first asked for."""
    found = _SPECS.get(cls)
    if found is None:
        found = _SPECS[cls] = _make_spec(cls)
    return found


def _make_spec(cls: type[Any]) -> _Spec:
    if cls is NodeTable:
        told = {tag: _Child(field, False, child) for tag, (field, child) in nodes.told().items()}
        return _Spec(cls, nodes.TAG, {}, told, False, {})
    hints = typing.get_type_hints(cls)
    attributes: dict[str, tuple[str, Callable[[str], Any] | None]] = {}
    children: dict[str, _Child] = {}
    required: dict[str, str] = {}
    has_text = False
    for field in dataclasses.fields(cls):
        name, hint = field.name, hints[field.name]
        if name == "line" or cls is Row or (cls is Extension and name in ("children", "extensions")):
            continue
        if name == "text":
            has_text = True
            continue
        is_many = typing.get_origin(hint) is tuple
        members = _members(typing.get_args(hint)[0] if is_many else hint)
        if isinstance(members[0], type) and issubclass(members[0], Element | NodeTable):
            tags = [_tag(member) for member in members]
            children.update({tag: _Child(name, is_many, member) for tag, member in zip(tags, members, strict=True)})
            what = f"element {' or '.join(tags)}"
        else:
            xml = field.metadata.get("xml", _camel(name))
            literals = [value for member in members for value in typing.get_args(member)]
            attributes[xml] = (name, _choice(tuple(literals)) if literals else _CONVERTERS[members[0]])
            what = f"attribute {xml}"
        if field.default is dataclasses.MISSING:
            required[name] = what
    return _Spec(cls, _tag(cls), attributes, children, has_text, required)


def _tag(cls: type[Any]) -> str:
    return nodes.TAG if cls is NodeTable else cls.TAG or cls.__name__


_FOREIGN = _Spec(Foreign, "*", {}, {}, True, {})
"""Any element of a vendor's own."""

_CHILD_OF_FOREIGN = _Child("children", True, Foreign)


class _Frame:
    """An element that is open; `nodes`, if it is a tree's root, is what the nodes below it are recorded in."""

    __slots__ = ("line", "nodes", "spec", "values")

    def __init__(self, spec: _Spec, line: int) -> None:
        self.spec = spec
        self.line = line
        self.values: dict[str, Any] = {"line": line}
        self.nodes: nodes.Recorder | None = None


class _Builder:
    """Handlers of the reader's events, with the stack of open elements."""

    def __init__(self) -> None:
        self.stack: list[_Frame] = []
        self.texts = _native.Texts()
        self.cell: str | None = None
        self.document: PMML | None = None

    def start(self, tag: str, attributes: dict[str, str], line: int) -> Any:
        """Open an element, and tell the reader what to do with it."""
        stack = self.stack
        if not stack:
            if tag != "PMML":
                raise SchemaError(f"the document's root is <{tag}>, not <PMML>", line)
            spec = _spec(PMML)
        else:
            frame = stack[-1]
            parent = frame.spec
            if parent.cls is Row:
                if self.cell is not None:
                    raise SchemaError(f"<{tag}> inside a cell of an inline table", line)
                self.cell = tag
                return True
            if parent.cls is Extension or parent.cls is Foreign:
                self._deeper(tag, line)
                foreign = _Frame(_FOREIGN, line)
                foreign.values.update(name=tag, attributes=attributes)
                stack.append(foreign)
                return True
            if frame.nodes is not None:
                parent = self._inside(frame.nodes)
            child = parent.children.get(tag)
            if child is None:
                self._skip(tag, parent, line)
                return False
            self._deeper(tag, line)
            if child.spec is None:
                child.spec = _spec(child.cls)
            spec = child.spec
        frame = _Frame(spec, line)
        stack.append(frame)
        if spec.cls is NodeTable:
            frame.nodes = nodes.Recorder(self.texts)
            return frame.nodes.records
        values = frame.values
        specs = spec.attributes
        for xml_name, text in attributes.items():
            attribute = specs.get(xml_name)
            if attribute is not None:
                name, convert = attribute
                if convert is None:
                    values[name] = text
                    continue
                try:
                    values[name] = convert(text)
                except ValueError as error:
                    raise SchemaError(f'<{spec.tag}> attribute {xml_name} cannot be "{text}": {error}', line) from None
        return True if spec.has_text else None

    def _deeper(self, tag: str, line: int) -> None:
        if len(self.stack) >= _DEEPEST:
            raise SchemaError(f"<{tag}> stands too deep, in {_DEEPEST} elements", line)

    def _inside(self, recorder: nodes.Recorder) -> _Spec:
        """The specification of the node, or the element in it, that is open."""
        tag = recorder.records.open
        return _spec(NodeTable) if tag == nodes.TAG else _Spec(NodeTable, tag, {}, {}, False, {})

    def _skip(self, tag: str, parent: _Spec, line: int) -> None:
        """Leave an element and all below it out, if nothing depends on it: vendors' own begin with X- (Conformance)."""
        if tag not in _DESCRIPTIVE and not tag.startswith(("X-", "x-")):
            what = "model element" if tag in UNSUPPORTED_MODELS else "element"
            raise SchemaError(f"{what} <{tag}> inside <{parent.tag}> is not supported", line)

    def end(self, text: str | None) -> None:
        """Close an element; its text is told if it was asked for."""
        if self.cell is not None:
            self.stack[-1].values.setdefault("cells", {})[self.cell] = text
            self.cell = None
            return
        frame = self.stack.pop()
        spec, values = frame.spec, frame.values
        element: Any
        if frame.nodes is not None:
            element = frame.nodes.table()
        else:
            if text is not None:
                values["text"] = text
            elif spec.cls is Row:
                values.setdefault("cells", {})
            for key, what in spec.required.items():
                if key not in values:
                    raise SchemaError(f"<{spec.tag}> lacks its {what}", frame.line)
            for key, value in values.items():
                if type(value) is list:
                    values[key] = tuple(value)
            element = spec.cls(**values)
        if not self.stack:
            self.document = element
            return
        parent = self.stack[-1]
        if parent.nodes is not None:
            parent.nodes.add(spec.tag, element)
            return
        child = _CHILD_OF_FOREIGN if spec is _FOREIGN else parent.spec.children[spec.tag]
        if child.is_many:
            parent.values.setdefault(child.field, []).append(element)
        elif child.field in parent.values:
            raise SchemaError(
                f"<{parent.spec.tag}> has more than one {_camel(child.field)}; see <{spec.tag}>", frame.line
            )
        else:
            parent.values[child.field] = element


def _refuse(message: str, line: int) -> None:
    raise SchemaError(message, line)


def parse(source: bytes | IO[bytes]) -> PMML:
    """Read a PMML document of version 3.0 to 4.4, whatever namespace it declares.

    Args:
        source: the document's bytes, or a binary file that is read to its end in pieces.

    Raises:
        SchemaError: the document is not well-formed, declares or refers to entities, lacks what the standard
            requires, or holds an element that is not supported or stands too deep, a tag larger than 16 MiB or a text
            longer than 64 MiB; it names the element and the line.
    """
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    reader = _native.Reader()
    builder = _Builder()
    piece = b""
    while True:
        piece = file.read(_PIECE)
        reader.feed(piece, not piece, builder.start, builder.end, _refuse)
        if not piece:
            break
    if builder.document is None:  # A document without a root is not well-formed; mypy cannot know.
        raise SchemaError("the document is empty")
    return builder.document
