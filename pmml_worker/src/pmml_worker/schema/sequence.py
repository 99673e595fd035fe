"""Elements of sequence rules (Sequence)."""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from pmml_worker.schema.association import Item, Itemset
from pmml_worker.schema.elements import Array, Element, ModelElement, element


@element
class Constraints(Element):
    """Limits on sequences and rules; times are in units of the order field."""

    minimum_number_of_items: int = 1
    maximum_number_of_items: int | None = None
    minimum_number_of_antecedent_items: int = 1
    maximum_number_of_antecedent_items: int | None = None
    minimum_number_of_consequent_items: int = 1
    maximum_number_of_consequent_items: int | None = None
    minimum_support: float = 0.0
    minimum_confidence: float = 0.0
    minimum_lift: float = 0.0
    minimum_total_sequence_time: float = 0.0
    maximum_total_sequence_time: float | None = None
    minimum_itemset_separation_time: float = 0.0
    maximum_itemset_separation_time: float | None = None
    minimum_ant_cons_separation_time: float = 0.0
    maximum_ant_cons_separation_time: float | None = None


@element
class SetPredicate(Element):
    """A set of values that a field must have all of."""

    id: str
    field: str
    operator: Literal["supersetOf"] = "supersetOf"
    array: Array


@element
class SetReference(Element):
    """An itemset or set predicate, by its id."""

    set_id: str


@element
class Delimiter(Element):
    """How far the sets, or sequences, on its two sides lie apart."""

    delimiter: Literal["sameTimeWindow", "acrossTimeWindows"]
    gap: Literal["true", "false", "unknown"]


@element
class Time(Element):
    """Observed times; no score depends on them."""

    min: float | None = None
    max: float | None = None
    mean: float | None = None
    standard_deviation: float | None = None


@element
class Sequence(Element):
    """Sets that follow one another; delimiter i stands between sets i and i + 1."""

    id: str
    number_of_sets: int | None = None
    occurrence: int | None = None
    support: float | None = None
    sets: tuple[SetReference, ...]
    delimiters: tuple[Delimiter, ...] = ()
    times: tuple[Time, ...] = ()


@element
class SequenceReference(Element):
    """A sequence, by its id."""

    seq_id: str


@element
class AntecedentSequence(Element):
    """What goes before."""

    sequence: SequenceReference
    time: Time | None = None


@element
class ConsequentSequence(Element):
    """What tends to follow."""

    sequence: SequenceReference
    time: Time | None = None


@element
class SequenceRule(Element):
    """Groups that have the antecedent tend to have the consequent after it."""

    id: str
    number_of_sets: int | None = None
    occurrence: int | None = None
    support: float
    confidence: float
    lift: float | None = None
    antecedent: AntecedentSequence
    delimiter: Delimiter
    consequent: ConsequentSequence
    times: tuple[Time, ...] = ()


@element
class SequenceModel(ModelElement):
    """Rules about what follows what (Sequence)."""

    number_of_transactions: int | None = None
    max_number_of_items_per_transaction: int | None = None
    avg_number_of_items_per_transaction: float | None = None
    number_of_transaction_groups: int | None = None
    max_number_of_t_as_per_t_a_group: int | None = field(default=None, metadata={"xml": "maxNumberOfTAsPerTAGroup"})
    avg_number_of_t_as_per_t_a_group: float | None = field(default=None, metadata={"xml": "avgNumberOfTAsPerTAGroup"})
    minimum_support: float | None = None
    minimum_confidence: float | None = None
    length_limit: int | None = None
    number_of_items: int | None = None
    number_of_sets: int | None = None
    number_of_sequences: int | None = None
    number_of_rules: int | None = None
    time_window_width: int = 0
    minimum_time: int = 0
    maximum_time: int | None = None
    constraints: Constraints | None = None
    items: tuple[Item, ...] = ()
    itemsets: tuple[Itemset, ...] = ()
    set_predicates: tuple[SetPredicate, ...] = ()
    sequences: tuple[Sequence, ...]
    rules: tuple[SequenceRule, ...] = ()
