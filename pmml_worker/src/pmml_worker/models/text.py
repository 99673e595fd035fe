"""TextModel: the document of a corpus that a text is most similar to (Text)."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from pmml_worker.errors import SchemaError
from pmml_worker.models.comparison import AFFINITIES, ENTITIES, by_rank
from pmml_worker.models.kernel import Context
from pmml_worker.schema.text import TextModel, TextModelNormalization
from pmml_worker.transform.column import Array, Bools, Codes, Column, Floats, cast_or_fault, first_fault, to_text
from pmml_worker.transform.prediction import Prediction
from pmml_worker.transform.scope import Environment, Scope

_WORD = re.compile(r"\w+")


def _words(text: str) -> tuple[str, ...]:
    """The words of a text: runs of letters and digits, in lower case. The standard leaves it open what a word is."""
    return tuple(_WORD.findall(text.lower()))


class _Terms:
    """Counts a dictionary's terms in texts."""

    def __init__(self, terms: list[str]) -> None:
        self.places = {_words(term): place for place, term in enumerate(terms)}
        self.lengths = sorted({len(words) for words in self.places})
        self.count = len(terms)

    def count_in(self, text: str) -> Floats:
        """How often each term's words follow one another, shape (terms,)."""
        words = _words(text)
        counts = np.zeros(self.count)
        for length in self.lengths:
            found = Counter(words[start : start + length] for start in range(len(words) - length + 1))
            for phrase, times in found.items():
                place = self.places.get(phrase)
                if place is not None:
                    counts[place] = times
        return counts


class _Weights:
    """What the frequencies of terms become (Text, "TextModelNormalization").

    A term whose global weight is not finite, because no document or every document has it, counts nothing.
    """

    def __init__(self, element: TextModelNormalization | None, frequencies: Floats) -> None:
        self.local = element.local_term_weights if element else "termFrequency"
        self.is_normalized = element is not None and element.document_normalization == "cosine"
        having = (frequencies > 0).sum(axis=0)
        documents = len(frequencies)
        with np.errstate(all="ignore"):
            match element.global_term_weights if element else "none":
                case "inverseDocumentFrequency":
                    weights = np.log10(documents / having)
                case "GFIDF":
                    weights = frequencies.sum(axis=0) / having
                case "normal":
                    weights = 1 / np.sqrt((frequencies**2).sum(axis=0))
                case "probabilisticInverse":
                    weights = np.log10((documents - having) / having)
                case _:
                    weights = np.ones(frequencies.shape[1])
        self.globals = np.where(np.isfinite(weights), weights, 0.0)

    def vectors(self, frequencies: Floats) -> Floats:
        """The vectors of documents, shape (documents, terms)."""
        match self.local:
            case "termFrequency":
                local = frequencies
            case "binary":
                local = (frequencies > 0).astype(np.float64)
            case "logarithmic":
                local = np.log10(1 + frequencies)
            case "augmentedNormalizedTermFrequency":
                most = frequencies.max(axis=1, keepdims=True, initial=0.0)
                local = 0.5 * ((frequencies > 0) + frequencies / np.where(most > 0, most, 1.0))
        weighted: Floats = local * self.globals
        return _unit(weighted) if self.is_normalized else weighted


def _unit(vectors: Floats) -> Floats:
    """Vectors of length 1; those of length 0 stay so."""
    length = np.sqrt((vectors**2).sum(axis=1, keepdims=True))
    result: Floats = vectors / np.where(length > 0, length, 1.0)
    return result


class TextKernel:
    """Scores a TextModel.

    Texts come as one field of text, in which terms are counted, or as a field for each term, named as it, that tells
    how often the text has it; missing is never.
    """

    def __init__(self, model: TextModel, context: Context) -> None:
        terms = model.text_dictionary.array.items()
        documents = model.text_corpus.documents
        self.names = tuple(document.id for document in documents)
        self.display = tuple(document.name or "" for document in documents)
        self.has_no_display = np.array([document.name is None for document in documents], np.bool_)
        if len(set(self.names)) < len(self.names):
            raise SchemaError("<TextCorpus> has two documents with the same id", model.text_corpus.line)
        frequencies = np.nan_to_num(model.document_term_matrix.matrix.numbers())
        if frequencies.shape != (len(documents), len(terms)) or not documents or not terms:
            raise SchemaError(
                f"<DocumentTermMatrix> is {frequencies.shape[0]} x {frequencies.shape[1]}; there are {len(documents)} "
                f"documents and {len(terms)} terms",
                model.document_term_matrix.line,
            )
        for told, count, what in (
            (model.number_of_terms, len(terms), "numberOfTerms"),
            (model.number_of_documents, len(documents), "numberOfDocuments"),
        ):
            if told != count:
                raise SchemaError(f"<TextModel> says {what} {told}, but there are {count}", model.line)
        self.terms = terms
        self.element = str(model)
        self.counter = _Terms(terms)
        self.text_field = None if all(map(context.environment.find, terms)) else _text_field(model, context.environment)
        self.weights = _Weights(model.text_model_normalization, frequencies)
        similarity = model.text_model_similiarity
        self.is_cosine = similarity is None or similarity.similarity_type == "cosine"
        vectors = self.weights.vectors(frequencies)
        self.points = _unit(vectors) if self.is_cosine else vectors
        output = model.output.fields if model.output else ()
        self.ranks = max((field.rank for field in output if field.feature in AFFINITIES | ENTITIES), default=1)

    def score(self, scope: Scope) -> Prediction:
        """Predict for a block of rows: the most similar document, missing where a text has none of the terms."""
        frequencies, rows, missing, fault = self._frequencies(scope)
        vectors = self.weights.vectors(frequencies)
        table = self._similarities(vectors)
        best = (table.argmax(axis=1) if self.is_cosine else table.argmin(axis=1)).astype(np.int32)
        absent: Bools = np.asarray(~vectors.any(axis=1)) if self.is_cosine else np.zeros(len(vectors), np.bool_)
        if rows is not None:
            table, best, absent = table[rows], best[rows], absent[rows]
        absent = absent if missing is None else absent | missing
        value = Column("string", best, absent, self.names, fault=fault)
        ranked = by_rank(table, self.names, self.ranks, self.is_cosine) if self.ranks > 1 else {}
        nameless = absent | self.has_no_display[best]
        display = Column("string", best, nameless, self.display, fault=fault)
        ranked["predictedDisplayValue"] = (display,)
        return Prediction(value, entity=value, entities=self.names, affinities=table, ranked=ranked)

    def _frequencies(self, scope: Scope) -> tuple[Floats, Array | None, Bools | None, Codes | None]:
        """Frequencies of distinct texts, shape (texts, terms); each row's text, where missing, and faults."""
        if self.text_field is not None:
            column = to_text(scope.column(self.text_field))
            counted = [self.counter.count_in(text) for text in column.categories or ("",)]
            return np.array(counted), column.values, column.missing, column.fault
        fault: Codes | None = None
        told = []
        for term in self.terms:
            column = cast_or_fault(scope.column(term), "double", scope.faults, term, self.element)
            fault = first_fault(fault, column.fault)
            told.append(np.maximum(np.nan_to_num(column.floats()), 0.0))
        return np.stack(told, axis=1), None, None, fault

    def _similarities(self, vectors: Floats) -> Floats:
        """Cosines of, or Euclidean distances between, texts and documents; shape (texts, documents)."""
        table = np.empty((len(vectors), len(self.points)))
        units = _unit(vectors)
        for place, point in enumerate(self.points):
            if self.is_cosine:
                table[:, place] = (units * point).sum(axis=1)
            else:
                table[:, place] = np.sqrt(((vectors - point) ** 2).sum(axis=1))
        return table


def _text_field(model: TextModel, environment: Environment) -> str:
    """The field that holds the text."""
    texts = [
        field.name
        for field in model.mining_schema.fields
        if field.usage_type == "active" and environment.type_of(field.name, field).data_type == "string"
    ]
    if len(texts) != 1:
        raise SchemaError("<TextModel> needs one active field of text, or a field for each term", model.line)
    return texts[0]
