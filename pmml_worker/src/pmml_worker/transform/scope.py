"""Names to columns: at load what a name stands for, while scoring the column of a block of rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from pmml_worker.errors import SchemaError
from pmml_worker.schema.elements import DataType, DefineFunction, Element, OpType
from pmml_worker.transform.column import Column, Faults, Ints

Evaluate: TypeAlias = Callable[["Scope"], Column]
"""A compiled expression or field: the column of a scope's rows."""


@dataclass(frozen=True, slots=True)
class FieldType:
    """What is known of a field before any row is seen.

    Attributes:
        data_type: PMML data type.
        optype: what operations make sense on it.
        order: an ordinal field's values, the least first.
        values: the valid values that the document lists, in its order.
    """

    data_type: DataType
    optype: OpType
    order: tuple[str, ...] = ()
    values: tuple[str, ...] = ()


@dataclass(slots=True)
class RowOrder:
    """Whether the rows of a table are a sequence, in which a row's result depends on the rows before it."""

    is_sequential: bool = False


@dataclass(slots=True)
class Environment:
    """The fields and functions that expressions of a model may name; an inner model's extends its outer model's.

    Attributes:
        functions: the document's functions, by name.
        fields: the fields of this environment, without those of outer ones.
        outer: the environment that this one extends.
        row_order: shared by all environments of a document; whatever reads other rows than its own, when it is compiled
            with an environment, sets `is_sequential`, and the engine then scores a table as one block.
        derived: how the derived fields of this environment are computed.
    """

    functions: Mapping[str, DefineFunction]
    fields: dict[str, FieldType] = field(default_factory=dict)
    outer: Environment | None = None
    row_order: RowOrder = field(default_factory=RowOrder)
    derived: dict[str, Evaluate] = field(default_factory=dict)

    def inner(self) -> Environment:
        """An environment that sees all of this one and whose own fields this one does not see."""
        return Environment(self.functions, {}, self, self.row_order)

    def all_derived(self) -> dict[str, Evaluate]:
        """How the derived fields of this and of outer environments are computed."""
        return self.derived if self.outer is None else {**self.outer.all_derived(), **self.derived}

    def find(self, name: str) -> FieldType | None:
        """The type of a field, None if there is no such field."""
        found = self.fields.get(name)
        return found if found is not None or self.outer is None else self.outer.find(name)

    def type_of(self, name: str, element: Element) -> FieldType:
        """The type of a field that an element names.

        Raises:
            SchemaError: there is no such field.
        """
        found = self.find(name)
        if found is None:
            raise SchemaError(
                f'<{element.TAG or type(element).__name__}> names field "{name}", which is not defined', element.line
            )
        return found


class Scope:
    """A block of rows: columns by name, each computed when first asked for.

    A scope with a parent sees the parent's columns; with `rows_of_parent`, only some of its rows.
    """

    __slots__ = ("_cache", "_definitions", "_parent", "_rows_of_parent", "faults", "rows")

    def __init__(
        self,
        rows: int,
        faults: Faults,
        definitions: Mapping[str, Evaluate],
        parent: Scope | None = None,
        rows_of_parent: Ints | None = None,
    ) -> None:
        self.rows = rows
        self.faults = faults
        self._definitions = definitions
        self._parent = parent
        self._rows_of_parent = rows_of_parent
        self._cache: dict[str, Column] = {}

    def inner(self, definitions: Mapping[str, Evaluate]) -> Scope:
        """A scope of the same rows with definitions of its own."""
        return Scope(self.rows, self.faults, definitions, self)

    def subset(self, rows: Ints) -> Scope:
        """A scope of some of the rows."""
        return Scope(len(rows), self.faults, {}, self, rows)

    def declare(self, name: str, column: Column) -> None:
        """Give a column a name in this scope."""
        self._cache[name] = column

    def outer(self, name: str) -> Column:
        """The column as the parent knows it."""
        if self._parent is None:
            raise KeyError(name)
        column = self._parent.column(name)
        return column if self._rows_of_parent is None else column.take(self._rows_of_parent)

    def has(self, name: str) -> bool:
        """Whether this scope or one that it sees knows a field."""
        if name in self._definitions or name in self._cache:
            return True
        return self._parent is not None and self._parent.has(name)

    def whole(self, name: str) -> tuple[Column, Ints | None]:
        """The column of a field in all rows that have it, and which of these the rows of this scope are; None: all."""
        if self._parent is None or name in self._definitions or not self._parent.has(name):
            return self.column(name), None
        column, rows = self._parent.whole(name)
        if self._rows_of_parent is None:
            return column, rows
        return column, self._rows_of_parent if rows is None else rows[self._rows_of_parent]

    def column(self, name: str) -> Column:
        """The column of a field; `Environment.type_of` made sure, at load, that there is one."""
        column = self._cache.get(name)
        if column is None:
            define = self._definitions.get(name)
            column = self.outer(name) if define is None else define(self)
            self._cache[name] = column
        return column
