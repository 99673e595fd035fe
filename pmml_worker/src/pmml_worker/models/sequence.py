"""SequenceModel: the rules that the transactions of a group select by what follows what (Sequence)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pmml_worker.errors import SchemaError
from pmml_worker.models.association import members_of
from pmml_worker.models.kernel import Context
from pmml_worker.models.rules import Rule, RuleOutputs, Selection, describe
from pmml_worker.models.transactions import ItemReader, group_field, group_rows, tables
from pmml_worker.schema.association import Item
from pmml_worker.schema.sequence import Constraints, Delimiter, Sequence, SequenceModel
from pmml_worker.transform.column import Bools, Column, Floats, Ints
from pmml_worker.transform.prediction import Prediction
from pmml_worker.transform.scope import Scope
from pmml_worker.transform.values import MICROSECONDS


@dataclass(frozen=True, slots=True)
class _Step:
    """A set, and where it may lie after the set before it: how much time later, and whether in the next transaction."""

    members: int
    same_window: bool = False
    contiguous: bool = False
    least: float = 0.0
    most: float = np.inf


@dataclass(frozen=True, slots=True)
class _History:
    """Transactions by group and time: shape (transactions,).

    Attributes:
        time: when a transaction took place, in units of the order field.
        first, end: the range of its group.
        sets: shape (sets, transactions), which sets it holds.
    """

    time: Floats
    first: Ints
    end: Ints
    sets: Bools


class SequenceKernel:
    """A compiled set of sequence rules.

    A group has a sequence if its sets lie in transactions of the group, each as far after the one before as delimiter
    and constraints allow: across time windows more than `timeWindowWidth` later, and as the separation times say; in
    the same window at most that much later; without a gap in the same or the next transaction. It has a rule if the
    consequent follows the antecedent so. The standard tells what rules mean, not how they are applied: a row is given
    the rules whose antecedent its group has (recommendation), without the consequent after it
    (exclusiveRecommendation), or with it (ruleAssociation).

    Raises:
        SchemaError: a rule, a sequence or a set names what is not defined, or the order field is of texts.
    """

    def __init__(self, model: SequenceModel, context: Context) -> None:
        environment = context.environment
        environment.row_order.is_sequential = True
        predicates = [
            Item(line=item.line, id=item.id, value=value, field=item.field, category=value)
            for item in model.set_predicates
            for value in item.array.items()
        ]
        items = (*model.items, *predicates)
        self.items = len(items)
        self.reader = ItemReader(items, model, environment)
        self.group = group_field(model, environment)
        orders = [field for field in model.mining_schema.fields if field.usage_type == "order"]
        self.order = orders[0].name if orders else None
        self.unit = 1.0
        if orders:
            data_type = environment.type_of(orders[0].name, orders[0]).data_type
            if data_type in ("string", "boolean"):
                raise SchemaError(f'<MiningField> order field "{self.order}" is of texts, not of times', orders[0].line)
            self.unit = float(MICROSECONDS) if data_type in ("time", "dateTime") else 1.0
        members = members_of(model.items, model.itemsets)
        start = len(model.items)
        for predicate in model.set_predicates:
            count = len(predicate.array.items())
            members[predicate.id] = list(range(start, start + count))
            start += count
        self.members = list(members.values())
        self.limits = model.constraints or Constraints(
            line=model.line,
            minimum_itemset_separation_time=model.minimum_time,
            maximum_itemset_separation_time=model.maximum_time,
        )
        self.window = model.time_window_width
        places = {name: place for place, name in enumerate(members)}
        sequences = {item.id: self._steps(item, places) for item in model.sequences}
        values = [item.value for item in items]
        rules = []
        self.antecedents: list[tuple[_Step, ...]] = []
        self.whole: list[tuple[_Step, ...]] = []
        for rule in model.rules:
            parts = []
            for reference in (rule.antecedent.sequence, rule.consequent.sequence):
                if reference.seq_id not in sequences:
                    raise SchemaError(
                        f'<SequenceReference> names "{reference.seq_id}", which is no sequence', reference.line
                    )
                parts.append(sequences[reference.seq_id])
            left, right = parts
            between = self._step(
                right[0].members, rule.delimiter, self.limits.minimum_ant_cons_separation_time,
                self.limits.maximum_ant_cons_separation_time,
            )  # fmt: skip
            self.antecedents.append(left)
            self.whole.append((*left, between, *right[1:]))
            texts = describe([self._text(left, values)], [self._text(right, values)], rule.id)
            numbers = {"support": rule.support, "confidence": rule.confidence, "lift": rule.lift}
            rules.append(Rule(texts, {**numbers, "leverage": None, "affinity": None}))
        self.outputs = RuleOutputs(model.output, rules)

    def _steps(self, sequence: Sequence, places: dict[str, int]) -> tuple[_Step, ...]:
        if len(sequence.delimiters) != len(sequence.sets) - 1:
            raise SchemaError("<Sequence> needs a <Delimiter> between any two sets", sequence.line)
        for reference in sequence.sets:
            if reference.set_id not in places:
                raise SchemaError(f'<SetReference> names "{reference.set_id}", which is no set', reference.line)
        first, *rest = (places[reference.set_id] for reference in sequence.sets)
        limits = self.limits
        return (
            _Step(first),
            *(
                self._step(
                    members, delimiter, limits.minimum_itemset_separation_time, limits.maximum_itemset_separation_time
                )
                for members, delimiter in zip(rest, sequence.delimiters, strict=True)
            ),
        )

    @staticmethod
    def _step(members: int, delimiter: Delimiter, least: float, most: float | None) -> _Step:
        same = delimiter.delimiter == "sameTimeWindow"
        return _Step(members, same, delimiter.gap == "false", least, np.inf if most is None else most)

    def _text(self, steps: tuple[_Step, ...], values: list[str]) -> str:
        return " > ".join(",".join(values[item] for item in self.members[step.members]) for step in steps)

    def score(self, scope: Scope) -> Prediction:
        """Select the rules of each group of rows."""
        held = self.reader.read(scope)
        groups = group_rows(None if self.group is None else scope.column(self.group), scope.rows)
        order = None if self.order is None else scope.column(self.order)
        history, count, owner = self._history(held.items, held.rows, groups, order)
        antecedents = self._by_group([self._ends(steps, history, False) for steps in self.antecedents], owner, count)
        whole = self._by_group([self._ends(steps, history, True) for steps in self.whole], owner, count)
        fault = held.fault if order is None or order.fault is None else order.with_fault(held.fault).fault
        return self.outputs.predict([Selection(antecedents, whole)], groups, fault)

    def _history(self, items: Ints, rows: Ints, groups: Ints, order: Column | None) -> tuple[_History, int, Ints]:
        """The transactions of all groups, the number of groups, and each transaction's group."""
        count = int(groups.max(initial=-1)) + 1
        sorted_rows = np.argsort(groups, kind="stable")
        starts = np.searchsorted(groups[sorted_rows], np.arange(count))
        if order is None:
            # Successive transactions are one unit of time apart.
            time = np.empty(len(groups))
            time[sorted_rows] = np.arange(len(groups)) - np.repeat(starts, np.diff(np.append(starts, len(groups))))
            placed = np.ones(len(groups), np.bool_)
        else:
            time = order.values / self.unit
            placed = ~order.is_missing()
        # Rows of one group at one time are one transaction; a row without a time is none.
        key = np.lexsort((time[placed], groups[placed]))
        group, moment = groups[placed][key], time[placed][key]
        fresh = np.append(True, (np.diff(group) != 0) | (np.diff(moment) != 0))[: len(group)]
        transaction = np.full(len(groups), -1)
        transaction[np.flatnonzero(placed)[key]] = np.cumsum(fresh) - 1
        owner = group[fresh]
        known = transaction[rows] >= 0
        pieces = []
        for table in tables(items[known], transaction[rows][known], self.items, len(owner)):
            sets = np.empty((len(self.members), table.shape[1]), np.bool_)
            for place, members in enumerate(self.members):
                sets[place] = table[members].all(axis=0)
            pieces.append(sets)
        first = np.searchsorted(owner, owner, "left")
        end = np.searchsorted(owner, owner, "right")
        return _History(moment[fresh], first, end, np.concatenate(pieces, axis=1)), count, owner

    @staticmethod
    def _by_group(ends: list[Bools], owner: Ints, count: int) -> Bools:
        found = np.zeros((len(ends), count), np.bool_)
        for place, at in enumerate(ends):
            found[place, owner[at]] = True
        return found

    def _ends(self, steps: tuple[_Step, ...], history: _History, is_whole: bool) -> Bools:
        """Shape (transactions,): where a sequence may end.

        The limits of a sequence's total time depend on where it starts, so each start is followed on its own then: the
        first transactions of all groups together, then the second ones, and so on.
        """
        windows = [self._window(step, history) for step in steps[1:]]
        least = self.limits.minimum_total_sequence_time if is_whole else 0.0
        most = self.limits.maximum_total_sequence_time
        if not least and most is None:
            return self._follow(history.sets[steps[0].members], steps, windows, history)
        ends = np.zeros(len(history.time), np.bool_)
        place = np.arange(len(history.time)) - history.first
        for start in range(int(place.max(initial=-1)) + 1):
            begins = history.sets[steps[0].members] & (place == start)
            since = history.time - history.time[np.minimum(history.first + start, len(place) - 1)]
            allowed = (since >= least) & (since <= (np.inf if most is None else most))
            ends |= self._follow(begins, steps, windows, history) & allowed
        return ends

    @staticmethod
    def _follow(begins: Bools, steps: tuple[_Step, ...], windows: list[tuple[Ints, Ints]], history: _History) -> Bools:
        reached = begins
        for step, (low, high) in zip(steps[1:], windows, strict=True):
            before = np.concatenate([[0], np.cumsum(reached)])
            reached = history.sets[step.members] & (before[np.maximum(high, low)] > before[low])
        return reached

    def _window(self, step: _Step, history: _History) -> tuple[Ints, Ints]:
        """For each transaction the range of those that the set before may lie in."""
        here = np.arange(len(history.time))
        time, first, end = history.time, history.first, history.end
        if step.same_window:
            low = _search(time, time - self.window, first, end, False)
            high = here + 1
        else:
            low = _search(time, time - step.most, first, end, False)
            high = _search(time, time - step.least, first, end, True)
            high = np.minimum(high, _search(time, time - self.window, first, end, False))
        if step.contiguous:
            low = np.maximum(low, here - 1)
        return low, high


def _search(time: Floats, wanted: Floats, low: Ints, high: Ints, after: bool) -> Ints:
    """For each transaction the first place in a range whose time is not below (`after`: is above) the wanted one."""
    low, high = low.copy(), high.copy()
    while (low < high).any():
        middle = (low + high) // 2
        at = time[np.minimum(middle, len(time) - 1)]
        left = (low < high) & ((at <= wanted) if after else (at < wanted))
        right = (low < high) & ~left
        low = np.where(left, middle + 1, low)
        high = np.where(right, middle, high)
    return low
