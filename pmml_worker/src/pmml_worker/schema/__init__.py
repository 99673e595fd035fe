"""PMML text to a typed, immutable model, named as in the standard (`elements`); scores nothing."""

from pmml_worker.schema import (  # noqa: F401 -- registers their model elements with the parser
    anomaly,
    association,
    baseline,
    bayesian_network,
    clustering,
    gaussian_process,
    general_regression,
    naive_bayes,
    nearest_neighbor,
    neural_network,
    rule_set,
    scorecard,
    sequence,
    support_vector_machine,
    text,
    time_series,
)
from pmml_worker.schema.elements import PMML
from pmml_worker.schema.parser import parse

__all__ = ["PMML", "parse"]
