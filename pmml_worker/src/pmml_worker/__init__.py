"""Scores PMML models: `load` a document, `score` tables with it."""

from pmml_worker.engine import Field, Model, load
from pmml_worker.errors import SchemaError, ScoringError, TableError, WorkerError

__all__ = ["Field", "Model", "SchemaError", "ScoringError", "TableError", "WorkerError", "load"]
