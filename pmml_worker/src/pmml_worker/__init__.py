"""Scores PMML models: `load` a document, `score` tables with it."""
