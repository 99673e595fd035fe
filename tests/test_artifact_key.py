"""playbooks/library/artifact_key.py: a product is current as long as nothing that it was made of has changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from artifact_key import digest, is_current, read_record, write_record


@pytest.fixture
def built(tmp_path: Path) -> tuple[Path, Path]:
    """A product with its record, and the folder that it was made of."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "main.py").write_text("print()")
    product = tmp_path / "product.tar"
    product.write_text("product")
    write_record(product, digest([source], "value"), {"image": "name:tag"})
    return product, source


def test_an_unchanged_product_is_current(built: tuple[Path, Path]) -> None:
    product, source = built
    assert is_current(product, digest([source], "value"))


def test_the_record_holds_the_facts(built: tuple[Path, Path]) -> None:
    assert read_record(built[0])["image"] == "name:tag"


def test_writing_the_same_record_changes_nothing(built: tuple[Path, Path]) -> None:
    product, source = built
    assert not write_record(product, digest([source], "value"), {"image": "name:tag"})


@pytest.mark.parametrize(
    "change",
    [
        lambda source: (source / "main.py").write_text("print(1)"),
        lambda source: (source / "main.py").chmod(0o755),
        lambda source: (source / "main.py").rename(source / "other.py"),
        lambda source: (source / "more.py").touch(),
    ],
    ids=["content", "mode", "name", "new file"],
)
def test_a_changed_input_makes_it_outdated(built: tuple[Path, Path], change: Callable[[Path], object]) -> None:
    product, source = built
    change(source)
    assert not is_current(product, digest([source], "value"))


def test_a_changed_value_makes_it_outdated(built: tuple[Path, Path]) -> None:
    product, source = built
    assert not is_current(product, digest([source], "another value"))


def test_a_damaged_or_missing_product_is_not_current(built: tuple[Path, Path]) -> None:
    product, source = built
    product.write_text("damaged")
    assert not is_current(product, digest([source], "value"))
    product.unlink()
    assert not is_current(product, digest([source], "value"))


def test_a_damaged_record_counts_as_none(built: tuple[Path, Path]) -> None:
    product, source = built
    product.with_name("product.tar.json").write_text("{")
    assert not is_current(product, digest([source], "value"))


def test_times_and_what_python_leaves_behind_play_no_part(built: tuple[Path, Path]) -> None:
    product, source = built
    os.utime(source / "main.py", (0, 0))
    (source / "__pycache__").mkdir()
    (source / "__pycache__" / "main.cpython-311.pyc").touch()
    assert is_current(product, digest([source], "value"))
