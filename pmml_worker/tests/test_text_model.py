import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from documents import document

from pmml_worker import Model, SchemaError, load

TERMS = ["delay", "equation", "ordinary equation", "theory", "rare"]
CORPUS = {
    "d1": [1, 3, 0, 0, 0],
    "d2": [0, 2, 2, 4, 0],
    "d3": [2, 1, 0, 1, 0],
    "d4": [0, 1, 1, 0, 0],
    "d5": [1, 0, 0, 1, 0],
}
FIELDS = """<DataField name="text" optype="categorical" dataType="string"/>
<DataField name="document" optype="categorical" dataType="string"/>
<DataField name="i" optype="continuous" dataType="integer"/>"""
AFFINITIES = "".join(f'<OutputField name="to_{name}" feature="affinity" value="{name}"/>' for name in CORPUS)


def text_model(
    normalization: str = "",
    similarity: str = "",
    output: str = AFFINITIES,
    terms: list[str] = TERMS,
    matrix: str | None = None,
    sizes: tuple[int, int] = (5, 5),
    documents: str | None = None,
    fields: str = FIELDS,
    active: str = '<MiningField name="text"/>',
) -> Model:
    rows = "".join(f'<Array type="int">{" ".join(map(str, row))}</Array>' for row in CORPUS.values())
    corpus = documents or "".join(f'<TextDocument id="{name}" name="title of {name}"/>' for name in CORPUS)
    words = " ".join(f'"{term}"' for term in terms)
    return load(
        document(
            f'<TextModel functionName="classification" numberOfTerms="{sizes[0]}" numberOfDocuments="{sizes[1]}">'
            f'<MiningSchema><MiningField name="document" usageType="target"/>{active}</MiningSchema>'
            f'<Output>{output}</Output><TextDictionary><Array type="string">{words}</Array></TextDictionary>'
            f"<TextCorpus>{corpus}</TextCorpus><DocumentTermMatrix>{matrix or f'<Matrix>{rows}</Matrix>'}"
            f"</DocumentTermMatrix>{normalization}{similarity}</TextModel>",
            fields,
        )
    )


# The formulas of the standard, for one term's frequency n in a document, f being its frequencies in all documents.
LOCAL: dict[str, Callable[[float, float], float]] = {
    "termFrequency": lambda n, most: n,
    "binary": lambda n, most: float(n > 0),
    "logarithmic": lambda n, most: math.log10(1 + n),
    "augmentedNormalizedTermFrequency": lambda n, most: 0.5 * ((n > 0) + n / most) if most else 0.0,
}
GLOBAL: dict[str, Callable[[list[int]], float]] = {
    "inverseDocumentFrequency": lambda f: math.log10(len(f) / sum(n > 0 for n in f)),
    "none": lambda f: 1.0,
    "GFIDF": lambda f: sum(f) / sum(n > 0 for n in f),
    "normal": lambda f: 1 / math.sqrt(sum(n * n for n in f)),
    "probabilisticInverse": lambda f: math.log10((len(f) - sum(n > 0 for n in f)) / sum(n > 0 for n in f)),
}


def vector(row: list[int], local: str, global_: str, normalization: str) -> list[float]:
    def weight(frequencies: list[int]) -> float:
        try:
            return GLOBAL[global_](frequencies)
        except (ZeroDivisionError, ValueError):
            return 0.0  # No document has the term, or every one.

    columns = [list(column) for column in zip(*CORPUS.values(), strict=True)]
    result = [LOCAL[local](n, max(row)) * weight(column) for n, column in zip(row, columns, strict=True)]
    if normalization == "cosine":
        length = math.sqrt(sum(value**2 for value in result))
        result = [value / length for value in result]
    return result


def cosine(one: list[float], two: list[float]) -> float:
    product = sum(a * b for a, b in zip(one, two, strict=True))
    return product / math.sqrt(sum(a * a for a in one) * sum(b * b for b in two))


TEXT = "Theory of ordinary equations? An ordinary equation, and a theory of its DELAY."
COUNTS = [1, 1, 1, 2, 0]


def cases() -> Iterator[tuple[str, str, str, str]]:
    for local in LOCAL:
        yield local, "none", "none", "cosine"
        yield local, "GFIDF", "cosine", "euclidean"
    for global_ in GLOBAL:
        yield "termFrequency", global_, "none", "cosine"
        yield "logarithmic", global_, "none", "euclidean"


@pytest.mark.parametrize(("local", "global_", "normalization", "similarity"), list(cases()))
def test_vectors_and_similarities_are_those_of_the_formulas(
    local: str, global_: str, normalization: str, similarity: str
) -> None:
    loaded = text_model(
        f'<TextModelNormalization localTermWeights="{local}" globalTermWeights="{global_}" '
        f'documentNormalization="{normalization}"/>',
        f'<TextModelSimiliarity similarityType="{similarity}"/>',
    )
    asked = vector(COUNTS, local, global_, normalization)
    compare: Callable[[list[float], list[float]], float] = cosine if similarity == "cosine" else math.dist
    expected = {name: compare(asked, vector(row, local, global_, normalization)) for name, row in CORPUS.items()}
    got = loaded.score_row({"text": TEXT})
    assert [got[f"to_{name}"] for name in CORPUS] == pytest.approx(list(expected.values()), rel=1e-12)
    best = max if similarity == "cosine" else min
    assert expected[got["document"]] == pytest.approx(best(expected.values()), rel=1e-12)


def test_the_defaults_are_inverse_document_frequencies_and_cosines() -> None:
    told = text_model(
        '<TextModelNormalization localTermWeights="termFrequency" globalTermWeights="inverseDocumentFrequency" '
        'documentNormalization="none"/>',
        '<TextModelSimiliarity similarityType="cosine"/>',
    ).score_row({"text": TEXT})
    assert text_model("<TextModelNormalization/>", "<TextModelSimiliarity/>").score_row({"text": TEXT}) == told
    raw = text_model().score_row({"text": TEXT})
    assert raw == text_model('<TextModelNormalization globalTermWeights="none"/>').score_row({"text": TEXT})
    assert raw != told


def test_terms_of_several_words_are_counted_where_the_words_follow_one_another() -> None:
    output = '<OutputField name="to_d4" feature="affinity" value="d4"/>'
    loaded = text_model('<TextModelNormalization globalTermWeights="none"/>', output=output)
    together = loaded.score_row({"text": "an ordinary equation"})["to_d4"]
    apart = loaded.score_row({"text": "an equation that is ordinary"})["to_d4"]
    assert (together, apart) == (pytest.approx(1.0), pytest.approx(math.sqrt(0.5)))


def test_a_field_for_each_term_tells_how_often_a_text_has_it() -> None:
    fields = FIELDS + "".join(f'<DataField name="{term}" optype="continuous" dataType="integer"/>' for term in TERMS)
    active = "".join(f'<MiningField name="{term}"/>' for term in TERMS)
    row: dict[str, Any] = dict(zip(TERMS, COUNTS, strict=True)) | {"rare": None}
    assert text_model(fields=fields, active=active).score_row(row) == text_model().score_row({"text": TEXT})


def test_results_name_the_document_and_those_after_it() -> None:
    output = (
        '<OutputField name="id" feature="entityId"/><OutputField name="title" feature="predictedDisplayValue"/>'
        '<OutputField name="near" feature="affinity"/><OutputField name="second" feature="entityId" rank="2"/>'
        '<OutputField name="second_near" feature="affinity" rank="2"/>'
    )
    got = text_model(output=output).score_row({"text": "delay delay equation theory"})
    rows = {name: cosine([2, 1, 0, 1, 0], [float(n) for n in row]) for name, row in CORPUS.items()}
    first, second = sorted(rows, key=lambda name: -rows[name])[:2]
    assert got == {
        "document": first,
        "id": first,
        "title": f"title of {first}",
        "near": pytest.approx(rows[first]),
        "second": second,
        "second_near": pytest.approx(rows[second]),
    }


@pytest.mark.parametrize("text", ["nothing of it", "", None])
def test_a_text_without_any_of_the_terms_is_similar_to_none(text: str | None) -> None:
    assert text_model().score_row({"text": text, "i": 1})["document"] is None


def test_many_texts_give_what_each_gives_alone() -> None:
    words = np.random.default_rng(2).choice(["delay", "equation", "ordinary", "theory", "other"], (60, 6))
    rows = [{"text": " ".join(line)} for line in words.tolist()]
    assert text_model().score(rows) == [text_model().score_row(row) for row in rows]


def test_cells_tell_the_frequencies_that_are_not_zero() -> None:
    cells = "".join(
        f'<MatCell row="{row}" col="{column}">{count}</MatCell>'
        for row, counts in enumerate(CORPUS.values(), 1)
        for column, count in enumerate(counts, 1)
        if count
    )
    sparse = text_model(matrix=f'<Matrix nbRows="5" nbCols="5">{cells}</Matrix>')
    assert sparse.score_row({"text": TEXT}) == text_model().score_row({"text": TEXT})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": (6, 5)}, "says numberOfTerms 6, but there are 5"),
        ({"sizes": (5, 3)}, "says numberOfDocuments 3, but there are 5"),
        ({"terms": TERMS[:4]}, "<DocumentTermMatrix> is 5 x 5; there are 5 documents and 4 terms"),
        ({"documents": '<TextDocument id="a"/>' * 5}, "two documents with the same id"),
        ({"active": '<MiningField name="i"/>'}, "needs one active field of text, or a field for each term"),
    ],
)
def test_a_model_that_cannot_be_scored_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        text_model(**options)
