"""PMML text to a typed, immutable model, named as in the standard (`elements`); scores nothing."""

from pmml_worker.schema import scorecard  # noqa: F401 -- registers its model element with the parser
from pmml_worker.schema.elements import PMML
from pmml_worker.schema.parser import parse

__all__ = ["PMML", "parse"]
