"""What output fields tell of the rules that a transaction selects (Output, "Association Rules")."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pmml_worker.errors import SchemaError
from pmml_worker.schema.elements import Output, OutputField
from pmml_worker.transform.column import Bools, Codes, Column, Ints, from_texts
from pmml_worker.transform.prediction import Prediction

_NUMBERS = ("confidence", "support", "lift", "leverage", "affinity")
_TEXTS = ("antecedent", "consequent", "rule", "ruleId")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as output fields tell it; `texts` and `numbers` are by rule feature, None where the rule tells none."""

    texts: Mapping[str, str]
    numbers: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Selection:
    """Rules selected by each transaction: shape (rules, transactions), where antecedents and consequents are held."""

    antecedents: Bools
    consequents: Bools

    def by(self, algorithm: str) -> Bools:
        """The rules that an algorithm selects (Output, "algorithm")."""
        match algorithm:
            case "recommendation":
                return self.antecedents
            case "exclusiveRecommendation":
                return self.antecedents & ~self.consequents
            case _:
                return self.antecedents & self.consequents


class _Answer:
    """A compiled output field: the place of each rule in its ranking, and what it tells of rules."""

    def __init__(self, field: OutputField, rules: Sequence[Rule]) -> None:
        self.field = field
        feature = field.rule_feature if field.feature == "ruleValue" else field.feature
        self.feature = "ruleId" if feature == "entityId" else feature
        if field.rank < (0 if field.is_multi_valued else 1):
            raise SchemaError(
                f'<OutputField> "{field.name}": rank counts from 1, or is 0 for all values if isMultiValued is 1',
                field.line,
            )
        bases = [rule.numbers[field.rank_basis] for rule in rules]
        if None in bases:
            raise SchemaError(
                f'<OutputField> "{field.name}": rankBasis is {field.rank_basis}, which a rule lacks', field.line
            )
        sign = -1 if field.rank_order == "descending" else 1
        self.order = np.argsort(sign * np.array(bases, np.float64), kind="stable")
        self.rules = [rules[position] for position in self.order]

    def tell(self, selection: Selection) -> Column:
        """The field's column, by transaction."""
        selected = selection.by(self.field.algorithm)[self.order]
        return self._lists(selected) if self.field.is_multi_valued else self._single(selected)

    def _single(self, selected: Bools) -> Column:
        """What the rule of the field's rank tells, missing where fewer are selected."""
        chosen = np.zeros(selected.shape[1], np.int64)
        absent: Bools = np.ones(selected.shape[1], np.bool_)
        if len(self.rules):
            left = selected.copy() if self.field.rank > 1 else selected
            for rank in range(self.field.rank):
                if rank:
                    left[chosen, np.arange(len(chosen))] = False
                chosen = left.argmax(axis=0)
            absent = ~np.any(left, axis=0)
        return self._of_rules(chosen, absent)

    def _of_rules(self, chosen: Ints, absent: Bools) -> Column:
        if self.feature in _TEXTS:
            texts = from_texts([rule.texts[self.feature] for rule in self.rules] or [None])
            return texts.take(chosen).with_missing(absent)
        numbers = [rule.numbers[self.feature] for rule in self.rules] or [None]
        table = np.array([np.nan if number is None else number for number in numbers], np.float64)
        return Column("double", table[chosen], absent | np.isnan(table[chosen]))

    def _lists(self, selected: Bools) -> Column:
        """What the rules up to the field's rank tell, as a list in JSON; all rules if the rank is 0."""
        packed = np.ascontiguousarray(np.packbits(selected, axis=0).T)
        keys = packed.view(np.dtype((np.void, max(packed.shape[1], 1)))) if packed.size else np.zeros(len(packed), "V1")
        _, first, codes = np.unique(keys.ravel(), return_index=True, return_inverse=True)
        limit = self.field.rank or len(self.rules)
        lists = []
        for transaction in first:
            rules = [self.rules[position] for position in np.flatnonzero(selected[:, transaction])[:limit]]
            told = [rule.texts.get(self.feature, rule.numbers.get(self.feature)) for rule in rules]
            lists.append(json.dumps(told, ensure_ascii=False))
        return from_texts(lists).take(codes)


class RuleOutputs:
    """The output fields of a model of rules.

    Raises:
        SchemaError: a field's rank is none, or it ranks rules by what they do not tell.
    """

    def __init__(self, output: Output | None, rules: Sequence[Rule]) -> None:
        told = (*_NUMBERS, *_TEXTS, "ruleValue", "entityId")
        self.answers = [_Answer(field, rules) for field in (output.fields if output else ()) if field.feature in told]
        line = output.line if output else 0
        default = OutputField(line=line, name="", feature="consequent")
        self.default = _Answer(default, rules)

    def predict(self, selections: Iterable[Selection], transactions: Ints, fault: Codes | None) -> Prediction:
        """The rows' prediction, the first exclusive recommendation; and answers to all output fields.

        Args:
            selections: which rules the transactions select, piece by piece.
            transactions: shape (rows,), the transaction of each row.
            fault: faults of the rows, which have no answers then.
        """
        told: list[list[Column]] = [[] for _ in (self.default, *self.answers)]
        for selection in selections:
            for answer, columns in zip((self.default, *self.answers), told, strict=True):
                columns.append(answer.tell(selection))
        value, *answers = (_joined(columns).take(transactions).with_fault(fault) for columns in told)
        return Prediction(
            value, answers={item.field.name: column for item, column in zip(self.answers, answers, strict=True)}
        )


def _joined(columns: Sequence[Column]) -> Column:
    """Columns of the same type one after the other."""
    if len(columns) == 1:
        return columns[0]
    missing = np.concatenate([column.is_missing() for column in columns])
    if columns[0].categories is None:
        return Column(columns[0].data_type, np.concatenate([column.values for column in columns]), missing)
    index: dict[str, int] = {}
    values = []
    for column in columns:
        table = np.array([index.setdefault(text, len(index)) for text in column.categories or ()], np.int32)
        values.append(table[column.values])
    return Column("string", np.concatenate(values), missing, tuple(index))


def describe(antecedent: Sequence[str], consequent: Sequence[str], rule_id: str) -> dict[str, str]:
    """A rule's texts by feature."""
    left, right = ",".join(antecedent), ",".join(consequent)
    return {"antecedent": left, "consequent": right, "rule": f"{{{left}}}->{{{right}}}", "ruleId": rule_id}
