import re
from typing import Any

import numpy as np
import pytest

from pmml_worker import SchemaError
from pmml_worker.schema.elements import (
    Array,
    Element,
    Indices,
    IntEntries,
    IntSparseArray,
    MatCell,
    Matrix,
    RealEntries,
    RealSparseArray,
)


def array(text: str, **attributes: Any) -> Array:
    return Array(line=1, text=text, type="real", **attributes)


def sparse(indices: str, entries: str, **attributes: Any) -> RealSparseArray:
    return RealSparseArray(
        line=1, indices=Indices(line=1, text=indices), entries=RealEntries(line=1, text=entries), **attributes
    )


def cells(text: str) -> tuple[MatCell, ...]:
    return tuple(
        MatCell(line=1, row=int(row), col=int(col), text=value)
        for row, col, value in (cell.split() for cell in text.split(";"))
    )


def test_an_array_gives_its_numbers() -> None:
    assert array(" 1 -2.5\n1e-3\t0.1 ", n=4).numbers().tolist() == [1.0, -2.5, 1e-3, 0.1]
    assert array("").numbers().tolist() == []
    assert array('"1" "2"').numbers().tolist() == [1.0, 2.0]


def test_an_array_gives_its_texts_without_quotes() -> None:
    assert array(r'ab "a b" "with \"quotes\"" "back\\slash"', n=4).items() == [
        "ab", "a b", 'with "quotes"', "back\\slash",
    ]  # fmt: skip


def test_a_sparse_array_gives_its_default_value_where_it_has_no_entry() -> None:
    assert sparse("2 5", "0.5 -1", n=6).numbers().tolist() == [0, 0.5, 0, 0, -1, 0]
    assert sparse("2", "0.5", n=3, default_value=7.0).numbers().tolist() == [7, 0.5, 7]
    assert sparse("3", "4").numbers().tolist() == [0, 0, 4]
    integers = IntSparseArray(line=1, n=3, indices=Indices(line=1, text="1"), entries=IntEntries(line=1, text="9"))
    assert integers.numbers().tolist() == [9, 0, 0]
    assert RealSparseArray(line=1, n=2).numbers().tolist() == [0, 0]


def test_a_matrix_of_rows_of_any_kind() -> None:
    matrix = Matrix(line=1, arrays=(array("1 2 3"), sparse("2", "5", n=3)), nb_rows=2, nb_cols=3)
    assert matrix.numbers().tolist() == [[1, 2, 3], [0, 5, 0]]


def test_a_symmetric_matrix_is_given_by_its_lower_left_triangle() -> None:
    matrix = Matrix(line=1, kind="symmetric", arrays=(array("1"), array("2 3"), array("4 5 6")))
    assert matrix.numbers().tolist() == [[1, 2, 4], [2, 3, 5], [4, 5, 6]]


def test_a_diagonal_matrix_is_given_by_its_diagonal() -> None:
    assert Matrix(line=1, kind="diagonal", arrays=(array("1 2"),)).numbers().tolist() == [[1, 0], [0, 2]]
    nine = Matrix(line=1, kind="diagonal", arrays=(array("1 2"),), off_diag_default=9.0)
    assert nine.numbers().tolist() == [[1, 9], [9, 2]]


def test_a_matrix_of_cells_is_the_standards_example() -> None:
    matrix = Matrix(
        line=1, nb_rows=5, nb_cols=5, diag_default=0.0, off_diag_default=0.0,
        cells=cells("1 4 42;2 2 1;3 1 5;4 5 7;5 3 9"),
    )  # fmt: skip
    expected = [[0, 0, 0, 42, 0], [0, 1, 0, 0, 0], [5, 0, 0, 0, 0], [0, 0, 0, 0, 7], [0, 0, 9, 0, 0]]
    assert matrix.numbers().tolist() == expected


def test_defaults_fill_a_matrix_on_and_off_its_diagonal() -> None:
    matrix = Matrix(
        line=1, kind="symmetric", nb_rows=3, nb_cols=3, diag_default=1.0, off_diag_default=0.5, cells=cells("3 1 0.25")
    )
    assert matrix.numbers().tolist() == [[1, 0.5, 0.25], [0.5, 1, 0.5], [0.25, 0.5, 1]]
    square = Matrix(line=1, kind="symmetric", nb_rows=2, nb_cols=2, diag_default=1.0, cells=cells("2 1 0.25"))
    assert square.numbers().tolist() == [[1, 0.25], [0.25, 1]]
    hole = Matrix(line=1, nb_rows=1, nb_cols=2, cells=cells("1 1 3")).numbers()
    assert hole[0, 0] == 3
    assert np.isnan(hole[0, 1])


@pytest.mark.parametrize(
    ("element", "message"),
    [
        (array("1 x"), "line 1: <Array> holds what is no number: .*'x'"),
        (array("1 2", n=3), "line 1: <Array> has n 3 but holds 2 values"),
        (sparse("1 2", "1", n=3), "<REAL-SparseArray> has 2 indices but 1 entries"),
        (sparse("4", "1", n=3), "<REAL-SparseArray> has index 4; they count from 1 up to n, 3"),
        (sparse("0", "1"), "<REAL-SparseArray> has index 0; they count from 1"),
        (sparse("1.5", "1"), "<REAL-SparseArray> has index 1.5"),
        (sparse("1", "1", n=10**12), "<REAL-SparseArray> has n 1000000000000; it may be from 0 to 16777216"),
        (Matrix(line=1, nb_rows=10**6, nb_cols=10**6), "<Matrix> has 1000000 x 1000000 numbers; 16777216 are allowed"),
        (Matrix(line=1, nb_rows=2, arrays=(array("1 2"),)), "<Matrix> holds 1 x 2 numbers but says 2 x None"),
        (Matrix(line=1, arrays=(array("1 2"), array("1"))), "<Matrix> of kind any: row 2 has 1 numbers"),
        (Matrix(line=1, kind="symmetric", arrays=(array("1 2"),)), "<Matrix> of kind symmetric: row 1 has 2 numbers"),
        (Matrix(line=1, kind="diagonal", arrays=(array("1"), array("1"))), "kind diagonal holds one array"),
        (Matrix(line=1, nb_rows=1, nb_cols=1, cells=cells("2 1 5")), "<MatCell> 2, 1 is outside 1 x 1"),
        (Matrix(line=1, cells=cells("0 1 5")), "<MatCell> 0, 1 is outside"),
        (Matrix(line=1, nb_rows=1, nb_cols=1, cells=cells("1 1 a")), "<MatCell> holds what is no number"),
        (Matrix(line=1, cells=(MatCell(line=1, row=1, col=1, text=""),)), '<MatCell> holds ""; it holds one number'),
    ],
)
def test_numbers_that_do_not_fit_are_refused(element: Element, message: str) -> None:
    with pytest.raises(SchemaError, match=message if "*" in message else re.escape(message)):
        element.numbers()  # type: ignore[attr-defined]
