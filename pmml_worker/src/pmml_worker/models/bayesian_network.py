"""BayesianNetworkModel: what the variables that are known tell of those that are asked for (BayesianNetwork).

Discrete variables that are not known are summed out one after the other, so that any of the fields may be missing. A
continuous variable that is known weighs the values of its discrete parents by its density there; one that is not known
weighs nothing, as long as nothing that is known depends on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pmml_worker.errors import SchemaError
from pmml_worker.models.kernel import Context
from pmml_worker.schema.bayesian_network import (
    BayesianNetworkModel,
    ContinuousDistribution,
    ContinuousNode,
    DiscreteNode,
    Distribution,
    LognormalDistribution,
    NormalDistribution,
    ParentValue,
    UniformDistribution,
)
from pmml_worker.schema.elements import DerivedField, Element, Expression
from pmml_worker.transform.column import (
    Array,
    Bools,
    Codes,
    Column,
    Fault,
    Floats,
    cast_or_fault,
    constant,
    fault_of,
    first_fault,
    mark,
    missing_of,
    to_text,
)
from pmml_worker.transform.expressions import compile_expression, compile_typed
from pmml_worker.transform.prediction import Prediction, winner
from pmml_worker.transform.scope import Environment, Evaluate, FieldType, Scope

_CELLS = 1 << 22
"""Cells of the largest table that is computed at once."""


@dataclass(frozen=True, slots=True)
class _Variable:
    """A discrete variable: a node, or a field that nodes have as a parent."""

    name: str
    element: str
    is_node: bool
    states: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Factor:
    """A table of some variables: their places, ascending, and shape (rows or 1, states of each ...)."""

    axes: tuple[int, ...]
    table: Array


@dataclass(frozen=True, slots=True)
class _Moments:
    """A distribution compiled: parameters, then mean, variance and density as functions of them."""

    parameters: tuple[Evaluate, ...]
    mean: Callable[..., Array]
    variance: Callable[..., Array]
    density: Callable[..., Array]


@dataclass(frozen=True, slots=True)
class _Continuous:
    """A continuous node: its discrete parents' places, and a distribution for each of their combinations."""

    name: str
    element: str
    axes: tuple[int, ...]
    shape: tuple[int, ...]
    distributions: tuple[_Moments, ...]

    def columns(self, scope: Scope) -> list[tuple[_Moments, list[Column]]]:
        """The parameters of each distribution."""
        told = self.name, self.element
        return [
            (item, [cast_or_fault(each(scope), "double", scope.faults, *told) for each in item.parameters])
            for item in self.distributions
        ]


class BayesianNetworkKernel:
    """Scores a BayesianNetworkModel."""

    def __init__(self, model: BayesianNetworkModel, context: Context) -> None:
        self.element = str(model)
        self.variables: list[_Variable] = []
        self.places: dict[str, int] = {}
        self.derived: dict[str, Evaluate] = {}
        self.continuous: dict[str, _Continuous] = {}
        self.tables: list[_Factor] = []
        nodes = model.network.nodes
        environment = context.environment
        if len({node.name for node in nodes}) < len(nodes):
            raise SchemaError("<BayesianNetworkNodes> has two nodes of the same name", model.network.line)
        for node in nodes:
            self._derive(node.derived_fields, environment)
        self.names = frozenset(node.name for node in nodes)
        for node in nodes:
            if isinstance(node, DiscreteNode):
                self._add_variable(node.name, node, _states(node))
        for node in nodes:
            if isinstance(node, DiscreteNode):
                self._add_table(node, environment)
            else:
                self._add_continuous(node, environment)
        self.targets = [target.name for target in context.targets if target.name is not None]
        for name in self.targets:
            if name not in self.names:
                raise SchemaError(f'<BayesianNetworkModel> has no node for its target "{name}"', model.line)
        if not self.targets:
            raise SchemaError("<BayesianNetworkModel> needs a target field in its <MiningSchema>", model.line)
        self.known = [name for name in self.names if environment.find(name) is not None and name not in self.targets]
        _refuse_circles(nodes, model.network)
        self.plans = {name: self._plan(self._query(name), model) for name in self.targets}

    def _query(self, target: str) -> tuple[int, ...]:
        """The variables whose joint distribution tells of a target."""
        node = self.continuous.get(target)
        return (self.places[target],) if node is None else tuple(sorted(node.axes))

    # --- Compiling ---------------------------------------------------------------------------------------------------

    def _derive(self, fields: Sequence[DerivedField], environment: Environment) -> None:
        for field in fields:
            environment.fields[field.name] = FieldType(field.data_type, field.optype)
            self.derived[field.name] = compile_typed(field.expression, field.data_type, environment, field.name)

    def _add_variable(self, name: str, element: Element, states: tuple[str, ...], is_node: bool = True) -> None:
        self.places[name] = len(self.variables)
        self.variables.append(_Variable(name, str(element), is_node, states))

    def _parents(self, combinations: Sequence[Sequence[ParentValue]], environment: Environment) -> tuple[str, ...]:
        """The names of a node's discrete parents; those that are fields become variables, too."""
        names = tuple(dict.fromkeys(item.parent for values in combinations for item in values))
        for values in combinations:
            for item in values:
                if item.parent not in self.places:
                    environment.type_of(item.parent, item)
                    states = dict.fromkeys(each.value for part in combinations for each in part
                                           if each.parent == item.parent)  # fmt: skip
                    self._add_variable(item.parent, item, tuple(states), False)
                if item.value not in self.variables[self.places[item.parent]].states:
                    raise SchemaError(f'"{item.parent}" has no value "{item.value}"', item.line)
        return names

    def _cell(self, names: Sequence[str], values: Sequence[ParentValue], element: Element) -> tuple[int, ...]:
        """Where a combination of parents' values stands."""
        told = {item.parent: item.value for item in values}
        if set(told) != set(names):
            raise SchemaError(f"<{type(element).__name__}> does not tell a value for each parent", element.line)
        return tuple(self.variables[self.places[name]].states.index(told[name]) for name in names)

    def _add_table(self, node: DiscreteNode, environment: Environment) -> None:
        own = self.variables[self.places[node.name]].states
        names = self._parents([item.parent_values for item in node.conditionals], environment)
        table = np.full([*(len(self.variables[self.places[name]].states) for name in names), len(own)], np.nan)
        for part in node.conditionals or (node,):
            values = part.parent_values if not isinstance(part, DiscreteNode) else ()
            row = np.zeros(len(own))
            for item in part.value_probabilities:
                if not 0 <= item.probability <= 1:
                    raise SchemaError(f"a probability is from 0 to 1, not {item.probability:g}", item.line)
                row[own.index(item.value)] = item.probability
            table[self._cell(names, values, part)] = row
        if np.isnan(table).any():
            raise SchemaError(f'<DiscreteNode> "{node.name}" leaves combinations of its parents out', node.line)
        axes = [self.places[name] for name in (*names, node.name)]
        order = np.argsort(axes)
        self.tables.append(_Factor(tuple(sorted(axes)), table.transpose(order)[None]))

    def _add_continuous(self, node: ContinuousNode, environment: Environment) -> None:
        names = self._parents([item.parent_values for item in node.conditionals], environment)
        shape = tuple(len(self.variables[self.places[name]].states) for name in names)
        found: dict[tuple[int, ...], _Moments] = {}
        if not node.conditionals:
            found[()] = _compile(_only(node.distributions, node), environment)
        for part in node.conditionals:
            distribution = _compile(_only(part.distributions, part), environment)
            found[self._cell(names, part.parent_values, part)] = distribution
        if len(found) < math.prod(shape):
            raise SchemaError(f'<ContinuousNode> "{node.name}" leaves combinations of its parents out', node.line)
        self.continuous[node.name] = _Continuous(
            node.name, str(node), tuple(self.places[name] for name in names), shape,
            tuple(found[cell] for cell in np.ndindex(shape)),
        )  # fmt: skip

    def _plan(self, query: tuple[int, ...], model: BayesianNetworkModel) -> tuple[list[int], int]:
        """The order in which variables are summed out, the least table first; and the cells of the largest."""
        scopes = [set(factor.axes) for factor in self.tables] + [set(node.axes) for node in self.continuous.values()]
        left = set(range(len(self.variables))) - set(query)
        order: list[int] = []
        largest = 1

        def cells(axes: set[int]) -> int:
            return math.prod(len(self.variables[axis].states) for axis in axes)

        def joined(variable: int) -> set[int]:
            return set().union(*(scope for scope in scopes if variable in scope), {variable})

        while left:
            chosen = min(left, key=lambda variable: (cells(joined(variable)), variable))
            whole = joined(chosen)
            largest = max(largest, cells(whole))
            scopes = [scope for scope in scopes if chosen not in scope] + [whole - {chosen}]
            order.append(chosen)
            left.remove(chosen)
        largest = max(largest, cells(set(query)))
        if largest > _CELLS:
            raise SchemaError(
                f"<BayesianNetworkModel> needs a table of {largest} cells to infer its target", model.line
            )
        return order, largest

    # --- Scoring -----------------------------------------------------------------------------------------------------

    def score(self, scope: Scope) -> Mapping[str | None, Prediction]:
        """Predict for a block of rows, each target given all that is known."""
        inner = scope.inner(self.derived)
        for name in self.names - set(self.known):
            inner.declare(name, constant(None, "double" if name in self.continuous else "string", scope.rows))
        evidence, fault = self._evidence(inner)
        result: dict[str | None, Prediction] = {}
        for name in self.targets:
            order, largest = self.plans[name]
            query = self._query(name)
            shape = [len(self.variables[axis].states) for axis in query]
            joint = np.empty([scope.rows, *shape])
            step = max(_CELLS // largest, 1)
            for first in range(0, scope.rows, step):
                part = slice(first, first + step)
                factors = [_Factor(item.axes, item.table[part]) for item in evidence]
                joint[part] = _eliminate([*self.tables, *factors], order, query, shape)
            total = joint.sum(axis=tuple(range(1, joint.ndim)))
            impossible = ~(total > 0) | ~np.isfinite(total)
            own = fault
            if impossible.any():
                code = scope.faults.add(
                    Fault("what is known of the row has a probability of 0", None, None, self.element)
                )
                own = first_fault(fault, np.where(impossible, code, 0).astype(np.int32))
                total = np.where(impossible, 1.0, total)
            joint /= total.reshape(-1, *[1] * len(shape))
            node = self.continuous.get(name)
            prediction = self._class(name, joint) if node is None else self._number(node, joint, query, inner)
            value = prediction.value.with_fault(own)
            result[name] = replace(prediction, value=replace(value, fault=first_fault(own, value.fault)))
        return result

    def _class(self, name: str, joint: Array) -> Prediction:
        classes = self.variables[self.places[name]].states
        return Prediction(winner(joint, classes, None), classes, joint)

    def _number(self, node: _Continuous, joint: Array, query: tuple[int, ...], scope: Scope) -> Prediction:
        """The mean and the standard deviation of a mixture over the values of discrete parents."""
        weights = joint.transpose(0, *(1 + query.index(axis) for axis in node.axes))
        weights = weights.reshape(scope.rows, len(node.distributions))
        mean, square = np.zeros(scope.rows), np.zeros(scope.rows)
        fault: Codes | None = None
        with np.errstate(all="ignore"):
            for position, (item, columns) in enumerate(node.columns(scope)):
                fault = first_fault(fault, _usable(columns, node, scope, weights[:, position] > 0))
                values = [column.values.astype(np.float64) for column in columns]
                part = item.mean(*values)
                used = weights[:, position] > 0
                mean += np.where(used, weights[:, position] * part, 0.0)
                square += np.where(used, weights[:, position] * (item.variance(*values) + part * part), 0.0)
            deviation = np.sqrt(np.maximum(square - mean * mean, 0.0))
        return Prediction(Column("double", mean, fault=fault), standard_error=Column("double", deviation, fault=fault))

    def _evidence(self, scope: Scope) -> tuple[list[_Factor], Codes | None]:
        """Tables of what is known of each row; and where it cannot be used."""
        factors: list[_Factor] = []
        fault: Codes | None = None
        for place, variable in enumerate(self.variables):
            if variable.is_node and variable.name not in self.known:
                continue
            column = to_text(scope.column(variable.name))
            known = ~column.is_missing()
            index = {text: position for position, text in enumerate(variable.states)}
            codes = np.array([index.get(text, -1) for text in column.categories or ("",)])[column.values]
            strange = known & (codes < 0)
            if not variable.is_node:
                strange |= ~known
            if strange.any():
                column = mark(
                    column, strange, column, scope.faults, variable.name, variable.element, "is none of the network's"
                )
            fault = first_fault(fault, column.fault)
            table = np.ones((scope.rows, len(variable.states)))
            table[known] = codes[known, None] == np.arange(len(variable.states))
            table[strange] = 1.0
            factors.append(_Factor((place,), table))
        for node in self.continuous.values():
            if node.name in self.known:
                factor, trouble = self._density(node, scope)
                fault = first_fault(fault, trouble)
                factors.append(factor)
        return factors, fault

    def _density(self, node: _Continuous, scope: Scope) -> tuple[_Factor, Codes | None]:
        """The density of a node's value for each combination of its discrete parents, 1 where it is not known."""
        column = cast_or_fault(scope.column(node.name), "double", scope.faults, node.name, node.element)
        known = ~column.is_missing()
        table = np.ones((scope.rows, len(node.distributions)))
        fault = column.fault
        with np.errstate(all="ignore"):
            for position, (item, columns) in enumerate(node.columns(scope)):
                fault = first_fault(fault, _usable(columns, node, scope, known))
                values = [each.values.astype(np.float64) for each in columns]
                density = item.density(column.values.astype(np.float64), *values)
                table[:, position] = np.where(known, density, 1.0)
        shaped = table.reshape(scope.rows, *node.shape)
        order = np.argsort(node.axes)
        return _Factor(tuple(sorted(node.axes)), shaped.transpose(0, *(order + 1))), fault


def _usable(columns: Sequence[Column], node: _Continuous, scope: Scope, wanted: Bools) -> Codes | None:
    """Where a distribution's parameters are wanted but not known."""
    fault = fault_of(columns)
    missing = missing_of(columns)
    if missing is not None and (missing & wanted).any():
        message = f'the distribution of "{node.name}" depends on a continuous variable that is not known'
        code = scope.faults.add(Fault(message, node.name, None, node.element))
        fault = first_fault(fault, np.where(missing & wanted, code, 0).astype(np.int32))
    return None if fault is None else np.where(wanted, fault, 0).astype(np.int32)


def _eliminate(factors: list[_Factor], order: Sequence[int], query: Sequence[int], shape: Sequence[int]) -> Array:
    """The product of factors, summed over all variables but those asked for; shape (rows, states of each ...)."""
    for variable in order:
        mine = [factor for factor in factors if variable in factor.axes]
        if mine:
            whole = _product(mine)
            place = whole.axes.index(variable)
            axes = whole.axes[:place] + whole.axes[place + 1 :]
            factors = [factor for factor in factors if variable not in factor.axes]
            factors.append(_Factor(axes, whole.table.sum(axis=1 + place)))
    whole = _product([*factors, _Factor(tuple(query), np.ones((1, *shape)))])
    return whole.table


def _product(factors: Sequence[_Factor]) -> _Factor:
    """The product of tables, over all of their variables."""
    axes = tuple(sorted({axis for factor in factors for axis in factor.axes}))
    result: Array | None = None
    for factor in factors:
        sizes = dict(zip(factor.axes, factor.table.shape[1:], strict=True))
        table = factor.table.reshape(len(factor.table), *(sizes.get(axis, 1) for axis in axes))
        result = table if result is None else result * table
    assert result is not None
    return _Factor(axes, result)


def _states(node: DiscreteNode) -> tuple[str, ...]:
    """The values of a discrete node, in the order in which probabilities name them."""
    parts = [node.value_probabilities, *(item.value_probabilities for item in node.conditionals)]
    states = tuple(dict.fromkeys(item.value for part in parts for item in part))
    if not states or (node.value_probabilities and node.conditionals):
        raise SchemaError(
            f'<DiscreteNode> "{node.name}" needs <ValueProbability> or <DiscreteConditionalProbability>',
            node.line,
        )
    return states


def _only(distributions: Sequence[ContinuousDistribution], element: Element) -> Distribution:
    if len(distributions) != 1:
        raise SchemaError(f"<{type(element).__name__}> needs one <ContinuousDistribution>", element.line)
    return distributions[0].distribution


def _compile(element: Distribution, environment: Environment) -> _Moments:
    """Compile a distribution."""

    def read(*expressions: Expression) -> tuple[Evaluate, ...]:
        return tuple(compile_expression(expression, environment) for expression in expressions)

    if isinstance(element, NormalDistribution):
        return _Moments(
            read(element.mean.expression, element.variance.expression), lambda m, v: m, lambda m, v: v, _normal
        )
    if isinstance(element, LognormalDistribution):
        return _Moments(
            read(element.mean.expression, element.variance.expression),
            lambda m, v: np.exp(m + v / 2),
            lambda m, v: np.expm1(v) * np.exp(2 * m + v),
            lambda x, m, v: np.where(x > 0, _normal(np.log(np.maximum(x, 5e-324)), m, v) / x, 0.0),
        )
    if isinstance(element, UniformDistribution):
        return _Moments(
            read(element.lower.expression, element.upper.expression),
            lambda a, b: (a + b) / 2,
            lambda a, b: (b - a) ** 2 / 12,
            lambda x, a, b: np.where((x >= a) & (x <= b), 1 / (b - a), 0.0),
        )
    return _Moments(
        read(element.mean.expression, element.lower.expression, element.upper.expression),
        lambda m, a, b: m,
        lambda m, a, b: _triangular_variance(3 * m - a - b, a, b),
        lambda x, m, a, b: _triangular(x, 3 * m - a - b, a, b),
    )


def _normal(x: Floats, mean: Floats, variance: Floats) -> Array:
    return np.exp(-((x - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)


def _triangular(x: Floats, peak: Floats, lower: Floats, upper: Floats) -> Array:
    width = upper - lower
    rising = np.where(x == peak, 2 / width, 2 * (x - lower) / (width * (peak - lower)))
    falling = 2 * (upper - x) / (width * (upper - peak))
    return np.where((x < lower) | (x > upper), 0.0, np.where(x <= peak, rising, falling))


def _triangular_variance(peak: Floats, lower: Floats, upper: Floats) -> Array:
    total = lower**2 + upper**2 + peak**2 - lower * upper - lower * peak - upper * peak
    result: Array = total / 18
    return result


def _refuse_circles(nodes: Sequence[DiscreteNode | ContinuousNode], element: Element) -> None:
    """Raise SchemaError if a discrete node depends on itself."""
    left = {node.name: {v.parent for part in node.conditionals for v in part.parent_values} for node in nodes}
    while left:
        free = [name for name, parents in left.items() if not parents & left.keys()]
        if not free:
            raise SchemaError(f"nodes depend on themselves: {', '.join(sorted(left))}", element.line)
        for name in free:
            del left[name]
