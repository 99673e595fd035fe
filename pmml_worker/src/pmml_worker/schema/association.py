"""Elements of association rules (AssociationRules)."""

from __future__ import annotations

from pmml_worker.schema.elements import Element, ModelElement, element


@element
class Item(Element):
    """A thing that a transaction may hold: a value of the item field, or a category of a field of its own."""

    id: str
    value: str
    field: str | None = None
    category: str | None = None
    mapped_value: str | None = None
    weight: float | None = None


@element
class ItemRef(Element):
    """An item of a set, by its id."""

    item_ref: str


@element
class Itemset(Element):
    """Items that occur together."""

    id: str
    support: float | None = None
    number_of_items: int | None = None
    items: tuple[ItemRef, ...] = ()


@element
class AssociationRule(Element):
    """Transactions that hold the antecedent tend to hold the consequent too; both are itemsets, by their ids."""

    id: str | None = None
    antecedent: str
    consequent: str
    support: float
    confidence: float
    lift: float | None = None
    leverage: float | None = None
    affinity: float | None = None


@element
class AssociationModel(ModelElement):
    """Rules about which items occur together (AssociationRules)."""

    number_of_transactions: int | None = None
    max_number_of_items_per_t_a: int | None = None
    avg_number_of_items_per_t_a: float | None = None
    minimum_support: float | None = None
    minimum_confidence: float | None = None
    length_limit: int | None = None
    number_of_items: int | None = None
    number_of_itemsets: int | None = None
    number_of_rules: int | None = None
    items: tuple[Item, ...] = ()
    itemsets: tuple[Itemset, ...] = ()
    rules: tuple[AssociationRule, ...] = ()
