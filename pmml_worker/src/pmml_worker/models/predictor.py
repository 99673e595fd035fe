"""What linear models share: sums of terms, and numbers looked up by a categorical field's value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pmml_worker.transform.column import Array, Bools, Codes, Column, either, first_fault
from pmml_worker.transform.values import Scalar


@dataclass(slots=True)
class Sum:
    """A linear function's value under way: the sum, where it is missing, and where it cannot be told."""

    values: Array
    missing: Bools | None = None
    fault: Codes | None = None

    def use(self, column: Column, allows_missing: bool = False) -> None:
        """Take over what a predictor lacks; where an earlier one is missing, later ones are not asked."""
        fault = column.fault
        if fault is not None and self.missing is not None:
            fault = np.where(self.missing, 0, fault).astype(np.int32)
        self.fault = first_fault(self.fault, fault)
        if not allows_missing:
            self.missing = either(self.missing, column.missing)


class Weights:
    """A number for each of some values of a field, 0 for all others."""

    def __init__(self, numbers: Mapping[Scalar, float], dtype: type[np.floating]) -> None:
        self.numbers = numbers
        self.dtype = dtype
        self.keys: Array | None = None
        if not any(isinstance(value, str) for value in numbers):
            ordered = sorted(numbers)
            self.keys = np.array(ordered)
            self.table = np.array([numbers[value] for value in ordered], dtype)

    def of(self, column: Column) -> Array:
        """The number of each row, shape (rows,); what stands at missing rows is of no meaning."""
        if column.categories is not None:
            table = np.array([self.numbers.get(text, 0.0) for text in column.categories], self.dtype)
            return table[column.values]
        assert self.keys is not None
        places = np.minimum(np.searchsorted(self.keys, column.values), len(self.keys) - 1)
        result: Array = np.where(self.keys[places] == column.values, self.table[places], self.dtype(0))
        return result
