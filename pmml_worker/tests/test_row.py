"""One row has two ways to its result, the short one and the scoring of blocks, which must agree."""

import math
from typing import Any

import pytest
from documents import document, schema, tree

from pmml_worker import Model, WorkerError, load
from pmml_worker.models.row import Declined

FIELDS = """<DataField name="x" optype="continuous" dataType="double"/>
<DataField name="z" optype="continuous" dataType="float"/>
<DataField name="i" optype="categorical" dataType="integer"><Value value="1"/><Value value="2"/></DataField>
<DataField name="s" optype="categorical" dataType="string"/>
<DataField name="b" optype="categorical" dataType="boolean"/>
<DataField name="d" optype="ordinal" dataType="date"/>
<DataField name="t" optype="continuous" dataType="double">
<Interval closure="closedOpen" leftMargin="0" rightMargin="1"/></DataField>
<DataField name="y" optype="continuous" dataType="{target}"/>
<DataField name="c" optype="categorical" dataType="{classes}"/>"""


def loaded(text: str, before: str = "", target: str = "double", classes: str = "string") -> Model:
    return load(document(text, FIELDS.replace("{target}", target).replace("{classes}", classes), before))


ROWS: list[dict[str, Any]] = [
    {"x": 1.5, "z": 0.1, "i": 1, "s": "red", "b": True, "d": "2020-01-01", "t": 0.5},
    {"x": -2, "z": 3, "i": 2, "s": "blue", "b": False, "t": 0},
    {"x": 0.75, "z": 0.3, "i": 1, "s": "red", "b": True, "t": 0.125},
    {"x": None, "z": 0.1, "i": None, "s": None, "b": None, "t": None},
    {"x": float("nan"), "z": float("nan"), "i": 1, "s": "green", "b": True, "t": 0.25},
    {},
    {"x": "1.5", "z": "0.1", "i": "1", "s": 7, "b": "true", "t": "0.5"},
    {"x": 1.5, "z": 0.1, "i": 3, "s": "red", "b": True, "t": 0.5},
    {"x": 1.5, "z": 0.1, "i": 1, "s": "red", "b": True, "t": 1.0},
    {"x": 1.5, "z": 0.1, "i": 1, "s": "red", "b": True, "t": -0.5},
    {"x": "one", "z": 1e300, "i": 1.5, "s": "red", "b": 2, "t": 0.5},
    {"x": True, "z": True, "i": True, "s": True, "b": 1, "t": True},
    {"x": 1 << 60, "z": 1 << 60, "i": 1, "s": "red", "b": True, "t": 0.5},
]


def outcome(score: Any, row: dict[str, Any]) -> Any:
    try:
        return score(row)
    except WorkerError as error:
        return type(error), str(error)


def same(one: Any, two: Any) -> bool:
    """Whether results are of the same types and their numbers the same but for the last places."""
    if isinstance(one, dict) and isinstance(two, dict):
        return list(one) == list(two) and all(same(one[name], two[name]) for name in one)
    if isinstance(one, float) and isinstance(two, float):
        return math.isclose(one, two, rel_tol=1e-14) or repr(one) == repr(two)
    return repr(one) == repr(two)


def agree(model: Model, exact: bool = True) -> None:
    assert model._score_row is not None, "the document was declined"
    taken = 0
    for row in ROWS:
        general = outcome(lambda row: model.score([row])[0], row)
        told = outcome(model.score_row, row)
        assert repr(told) == repr(general) if exact else same(told, general), row
        try:
            told = model._score_row(row)
            assert repr(told) == repr(general) if exact else same(told, general), row
            taken += 1
        except Declined:
            pass
    assert taken, "every row was declined"


PREDICTORS = """<NumericPredictor name="x" coefficient="0.3"/><NumericPredictor name="z" coefficient="-1.7"/>
<NumericPredictor name="t" coefficient="2"/><CategoricalPredictor name="s" value="red" coefficient="0.1"/>
<CategoricalPredictor name="s" value="blue" coefficient="-0.2"/>
<CategoricalPredictor name="i" value="2" coefficient="1"/>
<CategoricalPredictor name="b" value="true" coefficient="0.4"/>"""


@pytest.mark.parametrize("method", ["none", "logit", "exp", "cauchit"])
@pytest.mark.parametrize("target", ["double", "float", "integer"])
def test_regressions(method: str, target: str) -> None:
    text = (
        f'<RegressionModel functionName="regression" normalizationMethod="{method}">{schema("y")}<Output>'
        '<OutputField name="again" dataType="double"/></Output><Targets><Target field="y" rescaleFactor="2" '
        f'rescaleConstant="0.5"/></Targets><RegressionTable intercept="0.25">{PREDICTORS}</RegressionTable>'
        "</RegressionModel>"
    )
    agree(loaded(text if target == "double" else text.replace(' dataType="double"', ""), target=target))


@pytest.mark.parametrize("method", ["logit", "softmax", "simplemax", "none"])
@pytest.mark.parametrize("classes", [("no", "yes"), ("1", "2", "3")])
def test_classifying_regressions(method: str, classes: tuple[str, ...]) -> None:
    told = "".join(f'<OutputField name="p{name}" feature="probability" value="{name}"/>' for name in classes)
    tables = "".join(
        f'<RegressionTable targetCategory="{name}" intercept="{position + 1}">{PREDICTORS if position == 0 else ""}'
        "</RegressionTable>"
        for position, name in enumerate(classes)
    )
    text = (
        f'<RegressionModel functionName="classification" normalizationMethod="{method}">{schema("c")}'
        f"<Output>{told}</Output>{tables}</RegressionModel>"
    )
    agree(loaded(text, classes="string" if classes[0] == "no" else "integer"))


NODES = """<Node id="0" score="a" defaultChild="2"><True/>
<Node id="1" score="a"><SimplePredicate field="z" operator="lessOrEqual" value="0.1"/>
  <ScoreDistribution value="a" recordCount="3"/><ScoreDistribution value="b" recordCount="1"/></Node>
<Node id="2" score="b" defaultChild="3"><SimplePredicate field="z" operator="greaterThan" value="0.1"/>
  <ScoreDistribution value="a" recordCount="1"/><ScoreDistribution value="b" recordCount="5"/>
  <Node id="3" score="b"><SimpleSetPredicate field="s" booleanOperator="isIn">
    <Array n="2" type="string">red blue</Array></SimpleSetPredicate>
    <ScoreDistribution value="a" recordCount="0"/><ScoreDistribution value="b" recordCount="4"/></Node>
  <Node id="4" score="a"><SimpleSetPredicate field="s" booleanOperator="isNotIn">
    <Array n="2" type="string">red blue</Array></SimpleSetPredicate>
    <ScoreDistribution value="a" recordCount="2"/><ScoreDistribution value="b" recordCount="1"/></Node>
</Node></Node>"""
TOLD = """<Output><OutputField name="pa" feature="probability" value="a"/>
<OutputField name="pb" feature="probability" value="b"/></Output>"""


@pytest.mark.parametrize("strategy", ["defaultChild", "none", "lastPrediction", "nullPrediction"])
def test_trees(strategy: str) -> None:
    agree(loaded(tree(NODES, attributes=f'missingValueStrategy="{strategy}"', after=TOLD)))


def forest(method: str, function: str, context: str) -> str:
    nodes = NODES
    if function == "regression":
        nodes = nodes.replace('score="a"', 'score="0.1"').replace('score="b"', 'score="0.7"')
    target = "c" if function == "classification" else "y"
    inner = schema(target).replace(f'<MiningField name="{target}" usageType="target"/>', "")
    segments = "".join(
        f'<Segment weight="{weight}"><True/><TreeModel functionName="{function}" x-mathContext="{context}" '
        f'missingValueStrategy="defaultChild">{inner}{nodes.replace("0.1", str(threshold))}</TreeModel></Segment>'
        for threshold, weight in ((0.1, 1), (1.2, 0.3), (2.5, 1.1))
    )
    return (
        f'<MiningModel functionName="{function}" x-mathContext="{context}">{schema(target)}'
        f"{TOLD if function == 'classification' else ''}"
        f'<Segmentation multipleModelMethod="{method}">{segments}</Segmentation></MiningModel>'
    )


@pytest.mark.parametrize("context", ["double", "float"])
@pytest.mark.parametrize("method", ["average", "weightedAverage"])
def test_forests_of_classes(method: str, context: str) -> None:
    agree(loaded(forest(method, "classification", context)))


@pytest.mark.parametrize("context", ["double", "float"])
@pytest.mark.parametrize("method", ["sum", "average", "weightedAverage"])
def test_forests_of_numbers(method: str, context: str) -> None:
    agree(loaded(forest(method, "regression", context)))


def test_chains_of_a_forest_and_a_regression() -> None:
    inner = forest("sum", "regression", "double").replace(
        "<Segmentation", '<Output><OutputField name="margin" dataType="double"/></Output><Segmentation', 1
    )
    inner = inner.replace('<MiningField name="y" usageType="target"/>', "")
    regression = (
        '<RegressionModel functionName="classification" normalizationMethod="logit"><MiningSchema>'
        f'<MiningField name="c" usageType="target"/><MiningField name="margin"/></MiningSchema>{TOLD}'
        '<RegressionTable targetCategory="a" intercept="0"><NumericPredictor name="margin" coefficient="1"/>'
        "</RegressionTable>"
        '<RegressionTable targetCategory="b" intercept="0"/></RegressionModel>'
    )
    agree(
        loaded(
            f'<MiningModel functionName="classification">{schema("c")}<Segmentation multipleModelMethod="modelChain">'
            f"<Segment><True/>{inner}</Segment><Segment><True/>{regression}</Segment></Segmentation></MiningModel>"
        )
    )


DERIVED = """<TransformationDictionary>
<DerivedField name="single" optype="continuous" dataType="float"><FieldRef field="x"/></DerivedField>
<DerivedField name="double" optype="continuous" dataType="double"><FieldRef field="z"/></DerivedField>
<DerivedField name="red" optype="continuous" dataType="double"><NormDiscrete field="s" value="red" mapMissingTo="0.5"/>
</DerivedField>
<DerivedField name="norm" optype="continuous" dataType="double"><NormContinuous field="single" outliers="{outliers}"
  mapMissingTo="0.25"><LinearNorm orig="0" norm="1"/><LinearNorm orig="1" norm="3"/><LinearNorm orig="1.25" norm="0"/>
  </NormContinuous></DerivedField></TransformationDictionary>"""


@pytest.mark.parametrize("outliers", ["asIs", "asMissingValues", "asExtremeValues"])
def test_derived_fields(outliers: str) -> None:
    terms = "".join(
        f'<NumericPredictor name="{name}" coefficient="1.1"/>' for name in ("single", "double", "red", "norm")
    )
    agree(
        loaded(
            f'<RegressionModel functionName="regression">{schema("y")}<RegressionTable intercept="1">{terms}'
            "</RegressionTable></RegressionModel>",
            DERIVED.replace("{outliers}", outliers),
        )
    )


PLAIN = (
    f'<RegressionModel functionName="regression">{schema("y")}<RegressionTable intercept="1">{PREDICTORS}'
    "</RegressionTable></RegressionModel>"
)


@pytest.mark.parametrize(
    ("name", "treatment"),
    [
        ("x", 'missingValueReplacement="2.5"'),
        ("s", 'missingValueReplacement="red"'),
        ("x", 'missingValueTreatment="returnInvalid"'),
        ("t", 'invalidValueTreatment="asIs"'),
        ("t", 'invalidValueTreatment="asMissing"'),
        ("t", 'invalidValueTreatment="returnInvalid"'),
    ],
)
def test_missing_and_invalid_values_are_treated(name: str, treatment: str) -> None:
    agree(loaded(PLAIN.replace(f'<MiningField name="{name}"/>', f'<MiningField name="{name}" {treatment}/>')))


@pytest.mark.parametrize(
    "change",
    [
        ('<MiningField name="x"/>', '<MiningField name="x" outliers="asExtremeValues" lowValue="0" highValue="1"/>'),
        ('"regression">', '"regression" x-mathContext="float">'),
        ('intercept="1">', 'intercept="1"><NumericPredictor name="x" exponent="2" coefficient="1"/>'),
    ],
)
def test_what_is_out_of_the_ordinary_takes_the_general_way(change: tuple[str, str]) -> None:
    assert change[0] in PLAIN
    model = loaded(PLAIN.replace(*change))
    assert model._score_row is None
    assert model.score_row(ROWS[0]) == model.score([ROWS[0]])[0]


def test_scorecards() -> None:
    characteristics = """
<Characteristic name="a" reasonCode="A" baselineScore="5"><Attribute partialScore="1"><SimplePredicate field="x"
  operator="lessOrEqual" value="0"/></Attribute><Attribute partialScore="9"><SimplePredicate field="x"
  operator="greaterThan" value="0"/></Attribute></Characteristic>
<Characteristic name="b" reasonCode="B" baselineScore="3"><Attribute partialScore="2"><SimplePredicate field="x"
  operator="lessThan" value="1.5"/></Attribute><Attribute partialScore="3"><SimplePredicate field="x" operator="equal"
  value="1.5"/></Attribute><Attribute partialScore="0"><SimplePredicate field="x" operator="isMissing"/></Attribute>
</Characteristic>
<Characteristic name="s" baselineScore="4"><Attribute reasonCode="S" partialScore="1"><SimpleSetPredicate field="s"
  booleanOperator="isIn"><Array n="2" type="string">red green</Array></SimpleSetPredicate></Attribute>
  <Attribute reasonCode="T" partialScore="8"><SimplePredicate field="s" operator="isMissing"/></Attribute>
  <Attribute reasonCode="U" partialScore="2"><True/></Attribute></Characteristic>"""
    told = "".join(f'<OutputField name="r{rank}" feature="reasonCode" rank="{rank}"/>' for rank in (1, 2, 3))
    agree(
        loaded(
            f'<Scorecard functionName="regression" initialScore="10">{schema("y")}<Output>{told}</Output>'
            f"<Characteristics>{characteristics}</Characteristics></Scorecard>"
        )
    )


def test_clusters() -> None:
    measure = '<ComparisonMeasure kind="distance"><euclidean/></ComparisonMeasure>'
    agree(
        loaded(
            '<ClusteringModel functionName="clustering" modelClass="centerBased" numberOfClusters="2"><MiningSchema>'
            '<MiningField name="x"/><MiningField name="t"/></MiningSchema>'
            f'<Output><OutputField name="cluster"/></Output>{measure}'
            '<ClusteringField field="x"/><ClusteringField field="t"/>'
            '<Cluster id="near"><Array n="2" type="real">0 0</Array></Cluster>'
            '<Cluster id="far"><Array n="2" type="real">1.5 0.5</Array></Cluster></ClusteringModel>'
        )
    )


@pytest.mark.parametrize("threshold", ["0", "0.001"])
def test_naive_bayes(threshold: str) -> None:
    def pairs(counts: tuple[int, int]) -> str:
        told = "".join(
            f'<TargetValueCount value="{name}" count="{count}"/>' for name, count in zip("ab", counts, strict=True)
        )
        return f"<TargetValueCounts>{told}</TargetValueCounts>"

    stats = "".join(
        f'<TargetValueStat value="{name}"><GaussianDistribution mean="{mean}" variance="2"/></TargetValueStat>'
        for name, mean in (("a", 0), ("b", 3))
    )
    agree(
        loaded(
            f'<NaiveBayesModel functionName="classification" threshold="{threshold}">{schema("c")}{TOLD}<BayesInputs>'
            f'<BayesInput fieldName="s"><PairCounts value="red">{pairs((3, 1))}</PairCounts>'
            f'<PairCounts value="blue">{pairs((1, 4))}</PairCounts></BayesInput>'
            f'<BayesInput fieldName="x"><TargetValueStats>{stats}</TargetValueStats></BayesInput></BayesInputs>'
            f'<BayesOutput fieldName="c">{pairs((4, 5))}</BayesOutput></NaiveBayesModel>'
        ),
        exact=False,
    )


@pytest.mark.parametrize("function", ["classification", "regression"])
@pytest.mark.parametrize("max_wins", ["true", "false"])
def test_support_vector_machines(function: str, max_wins: str) -> None:
    target = "c" if function == "classification" else "y"
    agree(
        loaded(
            f'<SupportVectorMachineModel functionName="{function}" classificationMethod="OneAgainstOne" '
            f'maxWins="{max_wins}">{schema(target)}{TOLD if function == "classification" else ""}'
            '<RadialBasisKernelType gamma="0.5"/><VectorDictionary><VectorFields><FieldRef field="x"/>'
            '<FieldRef field="t"/></VectorFields>'
            '<VectorInstance id="1"><Array n="2" type="real">0 0.5</Array></VectorInstance>'
            '<VectorInstance id="2"><Array n="2" type="real">1 0</Array></VectorInstance></VectorDictionary>'
            '<SupportVectorMachine targetCategory="a" alternateTargetCategory="b"><SupportVectors>'
            '<SupportVector vectorId="1"/><SupportVector vectorId="2"/></SupportVectors>'
            '<Coefficients absoluteValue="-0.2"><Coefficient value="1.5"/><Coefficient value="-0.7"/></Coefficients>'
            "</SupportVectorMachine></SupportVectorMachineModel>"
        )
    )


REF, NORM = '<FieldRef field="{}"/>', '<NormDiscrete field="{}" value="{}"/>'


@pytest.mark.parametrize("function", ["classification", "regression"])
def test_neural_networks(function: str) -> None:
    def derived(expression: str) -> str:
        return f'<DerivedField optype="continuous" dataType="double">{expression}</DerivedField>'

    number, red = derived(REF.format("x")), derived(NORM.format("s", "red"))
    outputs = f'<NeuralOutput outputNeuron="2">{derived(REF.format("y"))}</NeuralOutput>'
    if function == "classification":
        classes = {"2": derived(NORM.format("c", "a")), "3": derived(NORM.format("c", "b"))}
        outputs = "".join(f'<NeuralOutput outputNeuron="{key}">{item}</NeuralOutput>' for key, item in classes.items())
    agree(
        loaded(
            f'<NeuralNetwork functionName="{function}" activationFunction="logistic">'
            f"{schema('c' if function == 'classification' else 'y')}{TOLD if function == 'classification' else ''}"
            f'<NeuralInputs><NeuralInput id="0">{number}</NeuralInput>'
            f'<NeuralInput id="1">{red}</NeuralInput></NeuralInputs>'
            '<NeuralLayer><Neuron id="2" bias="0.1"><Con from="0" weight="0.7"/><Con from="1" weight="-2"/></Neuron>'
            '<Neuron id="3" bias="-0.1"><Con from="0" weight="-0.2"/></Neuron></NeuralLayer>'
            f"<NeuralOutputs>{outputs}</NeuralOutputs></NeuralNetwork>"
        )
    )
