"""A streaming parser: expat's events to the dataclasses of `elements`, whose types say what goes where."""

import dataclasses
import types
import typing
import xml.parsers.expat
from collections.abc import Callable
from typing import IO, Any

from pmml_worker.errors import SchemaError
from pmml_worker.schema.elements import PMML, UNSUPPORTED_MODELS, Element, ModelElement, Row

# They describe how a model was made, found or tested; no score depends on them.
_DESCRIPTIVE = frozenset({
    "Extension", "Header", "MiningBuildTask", "ModelStats", "ModelExplanation", "ModelVerification", "Taxonomy",
    "Partition", "UnivariateStats",
})  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class _Spec:
    """How to make one element class of what the document holds."""

    cls: type[Element]
    tag: str
    attributes: dict[str, tuple[str, Callable[[str], Any]]]
    children: dict[str, tuple[str, bool, type[Element]]]
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
    return float(text)


def _integer(text: str) -> int:
    number = float(text)
    if not number.is_integer():
        raise ValueError("it is not an integer")
    return int(number)


def _choice(values: tuple[str, ...]) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if text not in values:
            raise ValueError(f"it is none of {', '.join(values)}")
        return text

    return convert


_CONVERTERS: dict[Any, Callable[[str], Any]] = {str: str, float: _number, int: _integer, bool: _boolean}


def _members(hint: Any) -> list[Any]:
    """The types that a hint is a union of, without None."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [member for arg in typing.get_args(hint) for member in _members(arg)]
    if hint is ModelElement:
        return list(ModelElement.__subclasses__())
    return [] if hint is type(None) else [hint]


_SPECS: dict[type[Element], _Spec] = {}


def _spec(cls: type[Element]) -> _Spec:
    """The specification of an element class, made when first asked for."""
    found = _SPECS.get(cls)
    if found is None:
        found = _SPECS[cls] = _make_spec(cls)
    return found


def _make_spec(cls: type[Element]) -> _Spec:
    hints = typing.get_type_hints(cls)
    attributes: dict[str, tuple[str, Callable[[str], Any]]] = {}
    children: dict[str, tuple[str, bool, type[Element]]] = {}
    required: dict[str, str] = {}
    has_text = False
    for field in dataclasses.fields(cls):
        name, hint = field.name, hints[field.name]
        if name == "line" or cls is Row:
            continue
        if name == "text":
            has_text = True
            continue
        is_many = typing.get_origin(hint) is tuple
        members = _members(typing.get_args(hint)[0] if is_many else hint)
        if isinstance(members[0], type) and issubclass(members[0], Element):
            for member in members:
                children[member.TAG or member.__name__] = (name, is_many, member)
            what = " or ".join(member.TAG or member.__name__ for member in members)
            what = f"element {what}"
        else:
            xml = field.metadata.get("xml", _camel(name))
            literals = [value for member in members for value in typing.get_args(member)]
            attributes[xml] = (name, _choice(tuple(literals)) if literals else _CONVERTERS[members[0]])
            what = f"attribute {xml}"
        if field.default is dataclasses.MISSING:
            required[name] = what
    return _Spec(cls, cls.TAG or cls.__name__, attributes, children, has_text, required)


class _Frame:
    """An element that is open."""

    __slots__ = ("line", "spec", "text", "values")

    def __init__(self, spec: _Spec, line: int) -> None:
        self.spec = spec
        self.line = line
        self.values: dict[str, Any] = {"line": line}
        self.text: list[str] = []


class _Builder:
    """Handlers of expat's events, with the stack of open elements."""

    def __init__(self, parser: xml.parsers.expat.XMLParserType) -> None:
        self.parser = parser
        self.stack: list[_Frame] = []
        self.skipped = 0
        self.cell: tuple[str, list[str]] | None = None
        self.document: PMML | None = None
        parser.StartElementHandler = self.start
        parser.EndElementHandler = self.end
        parser.CharacterDataHandler = self.characters
        parser.EntityDeclHandler = self.refuse_entity
        parser.ExternalEntityRefHandler = self.refuse_entity
        parser.SkippedEntityHandler = self.refuse_entity

    def refuse_entity(self, *_: Any) -> int:
        raise SchemaError("entity declarations and references are refused; write the text out", self.line())

    def line(self) -> int:
        return self.parser.CurrentLineNumber

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self.skipped:
            self.skipped += 1
            return
        tag = name.rpartition(":")[2]
        if not self.stack:
            if tag != "PMML":
                raise SchemaError(f"the document's root is <{name}>, not <PMML>", self.line())
            spec = _spec(PMML)
        else:
            parent = self.stack[-1].spec
            if parent.cls is Row:
                if self.cell is not None:
                    raise SchemaError(f"<{name}> inside a cell of an inline table", self.line())
                self.cell = (tag, [])
                return
            child = parent.children.get(tag)
            if child is None:
                self.skip(tag, parent)
                return
            spec = _spec(child[2])
        frame = _Frame(spec, self.parser.CurrentLineNumber)
        values = frame.values
        specs = spec.attributes
        for xml_name, text in attributes.items():
            attribute = specs.get(xml_name)
            if attribute is not None:
                try:
                    values[attribute[0]] = attribute[1](text)
                except ValueError as error:
                    raise SchemaError(
                        f'<{spec.tag}> attribute {xml_name} cannot be "{text}": {error}', frame.line
                    ) from None
        self.stack.append(frame)

    def skip(self, tag: str, parent: _Spec) -> None:
        """Leave an element and all below it out, if nothing depends on it."""
        if tag not in _DESCRIPTIVE:
            what = "model element" if tag in UNSUPPORTED_MODELS else "element"
            raise SchemaError(f"{what} <{tag}> inside <{parent.tag}> is not supported", self.line())
        self.skipped = 1

    def characters(self, text: str) -> None:
        if self.skipped:
            return
        if self.cell is not None:
            self.cell[1].append(text)
        elif self.stack and self.stack[-1].spec.has_text:
            self.stack[-1].text.append(text)

    def end(self, name: str) -> None:
        if self.skipped:
            self.skipped -= 1
            return
        if self.cell is not None:
            self.stack[-1].values.setdefault("cells", {})[self.cell[0]] = "".join(self.cell[1])
            self.cell = None
            return
        frame = self.stack.pop()
        spec, values = frame.spec, frame.values
        if spec.has_text:
            values["text"] = "".join(frame.text)
        if spec.cls is Row:
            values.setdefault("cells", {})
        for key, what in spec.required.items():
            if key not in values:
                raise SchemaError(f"<{spec.tag}> lacks its {what}", frame.line)
        for key, value in values.items():
            if type(value) is list:
                values[key] = tuple(value)
        element = spec.cls(**values)
        if not self.stack:
            self.document = typing.cast(PMML, element)
            return
        parent = self.stack[-1]
        key, is_many, _ = parent.spec.children[spec.tag]
        if is_many:
            parent.values.setdefault(key, []).append(element)
        elif key in parent.values:
            raise SchemaError(f"<{parent.spec.tag}> has more than one {_camel(key)}; see <{spec.tag}>", frame.line)
        else:
            parent.values[key] = element


def parse(source: bytes | IO[bytes]) -> PMML:
    """Read a PMML document of version 3.0 to 4.4, whatever namespace it declares.

    Args:
        source: the document's bytes, or a binary file that is read to its end in pieces.

    Raises:
        SchemaError: the document is not well-formed, declares or refers to entities, lacks what the standard
            requires, or holds an element that is not supported; it names the element and the line.
    """
    parser = xml.parsers.expat.ParserCreate()
    parser.buffer_text = True
    builder = _Builder(parser)
    try:
        if isinstance(source, bytes):
            parser.Parse(source, True)
        else:
            parser.ParseFile(source)
    except xml.parsers.expat.ExpatError as error:
        raise SchemaError(f"not well-formed: {xml.parsers.expat.ErrorString(error.code)}", error.lineno) from None
    if builder.document is None:  # expat accepts no document without a root; mypy cannot know.
        raise SchemaError("the document is empty")
    return builder.document
