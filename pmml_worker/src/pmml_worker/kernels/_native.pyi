"""Types of the extension module; what each function does is told where it is used."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

class Forest:
    """Decision trees, packed; any number of threads may use one at once.

    Targets of tests: from 0 a test, which comes after those that lead to it; below 0 a leaf (-1 is leaf 0, -2 leaf 1).
    Columns of a block, one for each feature: float64, ranked among the feature's cuts, NaN being missing; or int32
    codes, of which those below 0 are missing. A forest without features takes one column, of any codes.
    """

    def __init__(
        self,
        *,
        roots: npt.NDArray[np.int32],
        feature: npt.NDArray[np.int32],
        rank: npt.NDArray[np.uint32],
        is_set: npt.NDArray[np.bool_],
        word: npt.NDArray[np.uint32],
        low: npt.NDArray[np.int32],
        high: npt.NDArray[np.int32],
        missing: npt.NDArray[np.int32],
        words: npt.NDArray[np.uint32],
        cuts: npt.NDArray[np.float64],
        ends: npt.NDArray[np.int64],
        codes: int,
    ) -> None:
        """Pack tests into nodes.

        Args:
            roots: shape (trees,), targets.
            feature: shape (tests,), what each looks at.
            rank: shape (tests,), rows whose code is greater go high, others low.
            is_set: shape (tests,), instead of that, rows whose code is in a set go high.
            word: shape (tests,), where the set's bits begin, counted in words from 1.
            low, high, missing: shape (tests,), targets.
            words: the bits of all sets, least first.
            cuts: each feature's cuts in ascending order, feature after feature.
            ends: shape (features,), where each feature's cuts end.
            codes: the largest code.

        Raises:
            ValueError: a target or a feature does not exist.
        """

    def leaves(self, columns: list[Any]) -> npt.NDArray[np.int32]:
        """The leaf that each tree reaches for each row, shape (trees, rows)."""

    def sums(self, columns: list[Any], table: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Rows of a table, shape (leaves, width), float32 or float64, added up tree by tree; shape (width, rows)."""

    def first_marked(self, columns: list[Any], marks: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
        """The first feature on each row's way that is marked for the row, -1 if none is; shape (trees, rows).

        Args:
            columns: the block.
            marks: shape (rows, features).
        """

    def row_leaves(self, values: Sequence[float]) -> list[int]:
        """The leaf that each tree reaches for one row: a number or code of each feature, NaN if missing."""

    def row_sums(self, values: Sequence[float], table: npt.NDArray[Any]) -> list[float]:
        """Rows of a table added up over the leaves of one row."""

class DoubleNetwork:
    """Layers of units that weigh the outputs of units before them; any number of threads may use one at once.

    Nodes are the inputs, then the units in their order. Consecutive units with the same sources make a group.
    """

    def __init__(
        self,
        *,
        inputs: int,
        layer_groups: npt.NDArray[np.int64],
        functions: npt.NDArray[np.int32],
        normalizations: npt.NDArray[np.int32],
        thresholds: npt.NDArray[Any],
        leakages: npt.NDArray[Any],
        group_units: npt.NDArray[np.int64],
        group_sources: npt.NDArray[np.int64],
        sources: npt.NDArray[np.int32],
        weights: npt.NDArray[Any],
        biases: npt.NDArray[Any],
        divisors: npt.NDArray[Any],
        addends: npt.NDArray[Any],
        outputs: npt.NDArray[np.int32],
    ) -> None:
        """Pack weights.

        Args:
            inputs: the number of input nodes.
            layer_groups: shape (layers,), how many groups each layer has.
            functions: shape (layers,): 0 identity, 1 above the threshold, 2 logistic, 3 tanh, 4 exp(z), 5 1 / z, 6 z^2,
                7 exp(-z^2), 8 sine, 9 cosine, 10 z / (1 + |z|), 11 2 atan(z) / pi, 12 z or, below 0, leakage * z,
                13 exp(addend - z / divisor) where z is the squared distance between sources and weights.
            normalizations: shape (layers,): 0 none, 1 softmax, 2 division by the sum.
            thresholds, leakages: shape (layers,).
            group_units, group_sources: shape (groups,), how many units and sources each group has.
            sources: the nodes that each group weighs, group after group.
            weights: for each group shape (units, sources), group after group.
            biases, divisors, addends: shape (units,); the bias is added last.
            outputs: the nodes whose values are asked for.

        Raises:
            ValueError: shapes do not fit, or a source comes after its unit.
        """

    def run(self, columns: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The outputs' values, shape (outputs, rows), of inputs of shape (inputs, rows)."""

class FloatNetwork(DoubleNetwork):
    """The same in single precision."""

class Shape:
    """A tree of records: which attributes of which elements are texts and numbers, by element."""

    def __init__(
        self,
        record: tuple[str, list[str], list[str]],
        entry: tuple[str, list[str], list[str]],
        mark: tuple[str, list[str], list[str]],
        choice: str,
        choices: dict[str, int],
        names: dict[str, int],
        kinds: str,
    ) -> None: ...

class Texts:
    """Distinct texts."""

    def __init__(self) -> None: ...
    @property
    def list(self) -> list[str]: ...

class Records:
    """The records of one subtree, in the document's order."""

    def __init__(self, shape: Shape, texts: Texts) -> None: ...
    def mark(self, code: int) -> bool: ...
    @property
    def open(self) -> str: ...
    @property
    def position(self) -> int: ...
    def columns(self) -> list[bytes]: ...

class Reader:
    """Tells a document's elements to handlers, piece by piece."""

    def __init__(self) -> None: ...
    def feed(
        self,
        piece: bytes,
        is_last: bool,
        start: Callable[[str, dict[str, str], int], Any],
        end: Callable[[str | None], None],
        refuse: Callable[[str, int], None],
    ) -> None: ...

def best(points: npt.NDArray[Any], names: npt.NDArray[np.int32], ranks: int) -> npt.NDArray[np.int32]:
    """The names of the candidates with most points for each row, shape (ranks, rows); -1 where there are no more.

    Of equal candidates the first goes before; one whose points are below 0, or NaN, is none.

    Args:
        points: shape (candidates, rows), float32 or float64.
        names: shape (candidates, rows).
        ranks: how many to tell.

    Raises:
        ValueError: points and names differ in shape.
    """

def kernel_machines(
    columns: npt.NDArray[Any],
    vectors: npt.NDArray[Any],
    ends: npt.NDArray[np.int64],
    terms: npt.NDArray[np.int32],
    weights: npt.NDArray[Any],
    intercepts: npt.NDArray[Any],
    kind: int,
    gamma: float,
    coef0: float,
    degree: float,
    log_base: float,
) -> npt.NDArray[Any]:
    """Sums of weighted kernel values between rows and vectors, shape (machines, rows), added in the order of the terms.

    Args:
        columns: shape (features, rows), float32 or float64, and so all that are of any type.
        vectors: shape (vectors, features).
        ends: shape (machines,), where each machine's terms end.
        terms: shape (terms,), which vector each is about.
        weights: shape (terms,).
        intercepts: shape (machines,), added last.
        kind: 0 linear, 1 polynomial, 2 radial, 3 sigmoid.
        gamma, coef0, degree: the kernel's parameters.
        log_base: the logarithm of the base of the radial kernel's power.

    Raises:
        ValueError: a term names no vector, or shapes do not fit.
    """

class References:
    """Points that rows are compared with; any number of threads may use them at once.

    Columns of a block, one for each coordinate: float64, NaN being missing. Measures are float32 if `single`.
    """

    def __init__(
        self,
        *,
        references: npt.NDArray[np.float64],
        compare: npt.NDArray[np.uint8],
        weight: npt.NDArray[np.float64],
        scale: npt.NDArray[np.float64],
        missing_weight: npt.NDArray[np.float64],
        tables: list[npt.NDArray[np.float64]],
        aggregate: int,
        power: float,
        binary: npt.NDArray[np.float64],
        largest: bool,
        single: bool,
    ) -> None:
        """Pack references.

        Args:
            references: shape (references, coordinates).
            compare: shape (coordinates,), how two values compare: 0 their difference, 1 a Gaussian of it, 2 whether
                they differ, 3 whether they are equal, 4 a table's cell.
            weight: shape (coordinates,), what each comparison is multiplied by.
            scale: shape (coordinates,), the difference at which the Gaussian is one half.
            missing_weight: shape (coordinates,), what each coordinate counts where others are missing.
            tables: for each coordinate shape (codes, codes), empty where it has none.
            aggregate: 0 the root of the sum of squares, 1 the sum of squares, 2 the largest, 3 the sum, 4 the root of
                the sum of powers, 5 a ratio of counts of pairs of 0 and 1.
            power: the power, and the root.
            binary: shape (8,), factors of the pairs 11, 10, 01 and 00 above and below the fraction's line.
            largest: whether the largest measure is the best.
            single: whether to compute in single precision.

        Raises:
            ValueError: lengths differ, or there is no such comparison or aggregate.
        """

    def best(self, columns: list[npt.NDArray[np.float64]]) -> tuple[npt.NDArray[np.int32], npt.NDArray[Any]]:
        """The best reference of each row, the first of equals, -1 if a measure is no number; and its measure."""

    def nearest(
        self, columns: list[npt.NDArray[np.float64]], most: int
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[Any]]:
        """The best references of each row, best first, -1 if a measure is no number; and measures; (rows, most)."""

    def measures(self, columns: list[npt.NDArray[np.float64]]) -> npt.NDArray[Any]:
        """All measures, shape (rows, references)."""

class Likelihoods:
    """Log-densities by column and class; any number of threads may use them at once.

    That of x is top + width * (x - mean)^2. Columns of a block: float64, NaN being missing.
    """

    def __init__(
        self,
        *,
        top: npt.NDArray[np.float64],
        width: npt.NDArray[np.float64],
        mean: npt.NDArray[np.float64],
        start: npt.NDArray[np.float64],
        limit: float,
    ) -> None:
        """Pack densities.

        Args:
            top: shape (columns, classes), finite.
            width: shape (columns, classes), finite, below 0.
            mean: shape (columns, classes), finite.
            start: shape (classes,), what the sums of log-densities have added.
            limit: the least log-density; -inf: that of the least number that a double holds, beyond which it is -inf.

        Raises:
            ValueError: shapes differ, or there are no columns or no classes.
        """

    def classify(
        self, columns: list[npt.NDArray[np.float64]], tell: bool
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64] | None]:
        """The class with the largest sum in each row, the first of equals, leaving out what is missing.

        And, if told to, the classes' probabilities, shape (classes, rows), NaN in rows where all sums are -inf.

        Raises:
            ValueError: there is not one column for each of the densities, or columns differ in their rows.
        """
