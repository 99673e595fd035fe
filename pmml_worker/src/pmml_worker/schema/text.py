"""The elements of text models."""

from __future__ import annotations

from typing import Literal

from pmml_worker.schema.elements import Array, Element, LocalTermWeights, Matrix, ModelElement, element


@element
class TextDictionary(Element):
    """The terms, each a word or several."""

    array: Array


@element
class TextDocument(Element):
    """A document of the corpus."""

    id: str
    name: str | None = None
    length: int | None = None
    file: str | None = None


@element
class TextCorpus(Element):
    """The documents that texts are compared with."""

    documents: tuple[TextDocument, ...]


@element
class DocumentTermMatrix(Element):
    """How often each document, a row, has each term, a column."""

    matrix: Matrix


@element
class TextModelNormalization(Element):
    """What the frequency of a term becomes in a document's vector."""

    local_term_weights: LocalTermWeights = "termFrequency"
    global_term_weights: Literal["inverseDocumentFrequency", "none", "GFIDF", "normal", "probabilisticInverse"] = (
        "inverseDocumentFrequency"
    )
    document_normalization: Literal["none", "cosine"] = "none"


@element
class TextModelSimiliarity(Element):
    """How two vectors are compared; the standard spells it so."""

    similarity_type: Literal["cosine", "euclidean"] = "cosine"


@element
class TextModel(ModelElement):
    """Documents, of which the one most similar to a text is found (Text)."""

    number_of_terms: int
    number_of_documents: int
    text_dictionary: TextDictionary
    text_corpus: TextCorpus
    document_term_matrix: DocumentTermMatrix
    text_model_normalization: TextModelNormalization | None = None
    text_model_similiarity: TextModelSimiliarity | None = None
