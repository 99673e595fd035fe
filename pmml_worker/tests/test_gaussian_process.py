"""GaussianProcessModel, compared with the standard's formulas in NumPy and with scikit-learn."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from documents import FIELDS, document, model
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from pmml_worker import SchemaError, ScoringError, load

Floats = npt.NDArray[np.float64]

TABLE = np.array([[0.0, 1.0, 2.0], [1.5, -0.5, 0.5], [2.5, 2.0, -1.0], [-1.0, 0.5, 1.0], [0.5, 3.0, 0.0]])
ROWS = [{"x": 0.3, "z": 0.7}, {"x": 1.5, "z": -0.5}, {"x": 40.0, "z": -9.0}]
POINTS = np.array([[0.3, 0.7], [1.5, -0.5], [40.0, -9.0]])
OUTPUT = '<Output><OutputField name="mean"/><OutputField name="deviation" feature="{}"/></Output>'
SCHEMA = """<MiningSchema><MiningField name="x"/><MiningField name="z"/><MiningField name="y" usageType="target"/>
</MiningSchema>"""


def scaled(tag: str, attributes: str = "", scales: str = "0.8 2.5") -> str:
    """A kernel with length scales."""
    return f'<{tag} {attributes}><Lambda><Array type="real">{scales}</Array></Lambda></{tag}>'


def process(
    kernel: str, output: str = OUTPUT.format("standardDeviation"), table: Floats = TABLE, mining: str = SCHEMA,
    function: str = "regression",
) -> str:  # fmt: skip
    rows = "".join(f"<row><x>{x}</x><second>{z}</second><y>{y}</y></row>" for x, z, y in table)
    return (
        f'<GaussianProcessModel functionName="{function}" optimizer="L-BFGS">{mining}{output}{kernel}'
        '<TrainingInstances isTransformed="true" recordCount="5" fieldCount="3"><InstanceFields>'
        '<InstanceField field="x" column="x"/><InstanceField field="z" column="second"/>'
        f'<InstanceField field="y" column="y"/></InstanceFields><InlineTable>{rows}</InlineTable></TrainingInstances>'
        "</GaussianProcessModel>"
    )


def posterior(k: Callable[[Floats, Floats], float], noise: float) -> tuple[Floats, Floats]:
    """The mean k (K + s I)^-1 y and the standard deviation, of k(row, row) - k (K + s I)^-1 k + s, term by term."""
    points, values = TABLE[:, :2], TABLE[:, 2]
    covariance = np.array([[k(one, other) for other in points] for one in points]) + noise * np.eye(len(points))
    means, deviations = [], []
    for row in POINTS:
        own = np.array([k(row, point) for point in points])
        means.append(own @ np.linalg.solve(covariance, values))
        deviations.append(np.sqrt(k(row, row) - own @ np.linalg.solve(covariance, own) + noise))
    return np.array(means), np.array(deviations)


SCALES = np.array([0.8, 2.5])
KERNELS: dict[str, tuple[Callable[[Floats, Floats], float], float]] = {
    '<RadialBasisKernel gamma="2" noiseVariance="0.1" lambda="1.7"/>': (
        lambda a, b: 2 * np.exp(-0.5 * np.sum((a - b) ** 2) / 1.7**2), 0.1),
    scaled("ARDSquaredExponentialKernel", 'gamma="3" noiseVariance="0.2"'): (
        lambda a, b: 3 * np.exp(-0.5 * np.sum(((a - b) / SCALES) ** 2)), 0.2),
    scaled("AbsoluteExponentialKernel", 'gamma="1.5" noiseVariance="0.3"'): (
        lambda a, b: 1.5 * np.exp(-np.sum(np.abs(a - b) / SCALES)), 0.3),
    scaled("GeneralizedExponentialKernel", 'gamma="2.5" noiseVariance="0.05" degree="1.4"'): (
        lambda a, b: 2.5 * np.exp(-np.sum((np.abs(a - b) / SCALES) ** 1.4)), 0.05),
    scaled("ARDSquaredExponentialKernel", scales="1.3"): (
        lambda a, b: np.exp(-0.5 * np.sum(((a - b) / 1.3) ** 2)), 1.0),
    "<RadialBasisKernel/>": (lambda a, b: np.exp(-0.5 * np.sum((a - b) ** 2)), 1.0),
    "<AbsoluteExponentialKernel/>": (lambda a, b: np.exp(-np.sum(np.abs(a - b))), 1.0),
    "<GeneralizedExponentialKernel/>": (lambda a, b: np.exp(-np.sum(np.abs(a - b))), 1.0),
}  # fmt: skip


@pytest.mark.parametrize("kernel", KERNELS)
def test_mean_and_deviation_are_those_of_the_posterior(kernel: str) -> None:
    means, deviations = posterior(*KERNELS[kernel])
    got = model(process(kernel)).score(ROWS)
    assert [row["mean"] for row in got] == pytest.approx(means.tolist(), rel=1e-12, abs=1e-14)
    assert [row["y"] for row in got] == [row["mean"] for row in got]
    assert [row["deviation"] for row in got] == pytest.approx(deviations.tolist(), rel=1e-12)


def test_means_and_deviations_are_those_of_scikit_learn() -> None:
    kernel = ConstantKernel(2.0, "fixed") * RBF([0.8, 2.5], "fixed")
    fitted = GaussianProcessRegressor(kernel, alpha=0.1).fit(TABLE[:, :2], TABLE[:, 2])
    means, latent = fitted.predict(POINTS, return_std=True)
    element = scaled("ARDSquaredExponentialKernel", 'gamma="2" noiseVariance="0.1"')
    got = model(process(element)).score(ROWS)
    assert [row["mean"] for row in got] == pytest.approx(means.tolist(), rel=1e-10, abs=1e-12)
    # scikit-learn tells the deviation of the function, the standard that of its noisy evaluation.
    assert [row["deviation"] for row in got] == pytest.approx(np.sqrt(latent**2 + 0.1).tolist(), rel=1e-9)


def test_the_deviation_is_the_standard_error_too() -> None:
    rows = [model(process("<RadialBasisKernel/>", OUTPUT.format(name))).score_row(ROWS[0]) for name in
            ("standardError", "standardDeviation")]  # fmt: skip
    assert rows[0] == rows[1]
    plain = '<Output><OutputField name="mean"/></Output>'
    assert model(process("<RadialBasisKernel/>", plain)).score_row(ROWS[0])["mean"] == rows[0]["mean"]


def test_without_noise_the_process_meets_its_instances() -> None:
    got = model(process('<RadialBasisKernel noiseVariance="0"/>')).score_row(ROWS[1])
    assert got["mean"] == pytest.approx(0.5, rel=1e-12)
    assert got["deviation"] == pytest.approx(0.0, abs=1e-7)


def test_many_rows_are_those_of_one_row_each() -> None:
    rng = np.random.default_rng(3)
    table = rng.normal(size=(400, 3))
    loaded = model(process('<RadialBasisKernel noiseVariance="0.5"/>', table=table))
    rows = [{"x": x, "z": z} for x, z in rng.normal(size=(3000, 2))]
    got = loaded.score(rows)
    for position in (0, 1499, 2620, 2621, 2622, 2999):
        assert got[position]["mean"] == pytest.approx(loaded.score_row(rows[position])["mean"], rel=1e-9)
        assert got[position]["deviation"] == pytest.approx(loaded.score_row(rows[position])["deviation"], rel=1e-9)


@pytest.mark.parametrize("name", ["x", "z"])
def test_a_row_with_a_missing_field_is_an_error_that_names_it(name: str) -> None:
    with pytest.raises(ScoringError, match=f"field {name}: a missing value"):
        model(process("<RadialBasisKernel/>")).score_row({**ROWS[0], name: None})


GOOD = process("<RadialBasisKernel/>")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (process("<RadialBasisKernel/>", function="classification"), "for regression only"),
        (process("<RadialBasisKernel/>", mining=SCHEMA.replace(' usageType="target"', "")), "needs a target field"),
        (process('<RadialBasisKernel lambda="0"/>'), "lambda, by which differences are divided, is above 0"),
        (process('<RadialBasisKernel gamma="0"/>'), "a gamma above 0"),
        (process('<RadialBasisKernel noiseVariance="-1"/>'), "a noiseVariance of 0 or more"),
        (
            process(scaled("AbsoluteExponentialKernel", scales="1 2 3")),
            "3 numbers for 2",
        ),
        (process('<RadialBasisKernel noiseVariance="0"/>', table=TABLE[[0, 0]]), "not positive definite"),
        (GOOD.replace("<x>0.5</x>", "<x>wrong</x>"), '"wrong" is no double'),
        (GOOD.replace("<y>0.5</y>", ""), '"y" has no number in some row'),
        (GOOD.replace('field="z" column', 'field="s" column'), '"s" has no number|which has no numbers'),
        (GOOD.replace('field="z" column', 'field="w" column'), '"w", which is not defined'),
    ],
)
def test_a_document_that_is_wrong_is_refused_and_told_where(text: str, message: str) -> None:
    with pytest.raises(SchemaError, match=message) as error:
        load(document(text, FIELDS))
    assert error.value.line is not None


def test_a_process_may_be_a_segment_of_a_model() -> None:
    segment = f"<Segment id='one'><True/>{GOOD}</Segment>"
    text = (
        f'<MiningModel functionName="regression">{SCHEMA}<Output><OutputField name="d" feature="standardDeviation" '
        'segmentId="one"/></Output>'
        f'<Segmentation multipleModelMethod="selectFirst">{segment}</Segmentation></MiningModel>'
    )
    got: dict[str, Any] = model(text).score_row(ROWS[0])
    assert got["d"] == model(GOOD).score_row(ROWS[0])["deviation"]
