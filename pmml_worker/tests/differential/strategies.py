"""Small documents of every common model element, with transformations, treatments, targets and outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from hypothesis import strategies as st

Draw: TypeAlias = Callable[[st.SearchStrategy[Any]], Any]

NUMBERS = st.integers(-40, 40).map(lambda number: number / 8)
POSITIVE = st.integers(1, 40).map(lambda number: number / 8)
CATEGORIES = ("a", "b", "c")
CLASSES = ("yes", "no", "maybe")


def chance(draw: Draw, one_in: int = 2) -> bool:
    """True once in so many."""
    return bool(draw(st.integers(1, one_in)) == 1)


# --- Fields ----------------------------------------------------------------------------------------------------------


def dictionary(draw: Draw) -> str:
    """Data fields x, z (doubles), i (integers), s (categories), target y or c."""
    interval = '<Interval closure="closedOpen" leftMargin="-4" rightMargin="4"/>' if chance(draw, 3) else ""
    missing = '<Value value="-1" property="missing"/>' if chance(draw, 4) else ""
    values = "".join(f'<Value value="{value}"/>' for value in CATEGORIES)
    classes = "".join(f'<Value value="{value}"/>' for value in CLASSES)
    return (
        f'<DataField name="x" optype="continuous" dataType="double">{interval}</DataField>'
        '<DataField name="z" optype="continuous" dataType="double"/>'
        f'<DataField name="i" optype="continuous" dataType="integer">{missing}</DataField>'
        f'<DataField name="s" optype="categorical" dataType="string">{values}</DataField>'
        '<DataField name="y" optype="continuous" dataType="double"/>'
        f'<DataField name="c" optype="categorical" dataType="string">{classes}</DataField>'
    )


def mining_schema(draw: Draw, target: str) -> str:
    """Fields with treatments of outliers, missing and invalid values."""
    items = [f'<MiningField name="{target}" usageType="target"/>'] if target else []
    for name in ("x", "z", "i", "s"):
        attributes = ""
        if chance(draw, 3):
            attributes += f' missingValueReplacement="{draw(st.sampled_from(CATEGORIES)) if name == "s" else 2}"'
        treatment = draw(st.sampled_from(["", "returnInvalid", "asIs", "asMissing", "asValue"]))
        if treatment:
            attributes += f' invalidValueTreatment="{treatment}"'
        if treatment == "asValue":
            attributes += f' invalidValueReplacement="{"b" if name == "s" else 1}"'
        if name in "xz" and chance(draw, 3):
            outliers = draw(st.sampled_from(["asIs", "asMissingValues", "asExtremeValues"]))
            attributes += f' outliers="{outliers}" lowValue="-3" highValue="3"'
        items.append(f'<MiningField name="{name}"{attributes}/>')
    return f"<MiningSchema>{''.join(items)}</MiningSchema>"


def transformations(draw: Draw) -> str:
    """Derived fields dn (continuous) and dc (categorical)."""
    outliers = draw(st.sampled_from(["asIs", "asMissingValues", "asExtremeValues"]))
    numeric = draw(
        st.sampled_from([
            f'<NormContinuous field="x" outliers="{outliers}"><LinearNorm orig="-2" norm="0"/><LinearNorm orig="1" '
            'norm="1"/><LinearNorm orig="3" norm="4"/></NormContinuous>',
            '<NormContinuous field="z" mapMissingTo="0.5"><LinearNorm orig="0" norm="0"/><LinearNorm orig="2" '
            'norm="1"/></NormContinuous>',
            '<NormDiscrete field="s" value="a"/>',
            '<NormDiscrete field="s" value="b" mapMissingTo="0.25"/>',
            '<Apply function="+"><FieldRef field="x"/><Apply function="*"><FieldRef field="i"/><Constant '
            'dataType="double">0.5</Constant></Apply></Apply>',
            '<Apply function="if"><Apply function="isMissing"><FieldRef field="z"/></Apply><Constant dataType="double">'
            '-1</Constant><Apply function="abs"><FieldRef field="z"/></Apply></Apply>',
            '<Apply function="max"><FieldRef field="x"/><FieldRef field="z"/></Apply>',
            '<Apply function="/" mapMissingTo="7"><FieldRef field="x"/><FieldRef field="z"/></Apply>',
            '<Apply function="pow" defaultValue="3"><FieldRef field="z"/><Constant dataType="integer">2</Constant>'
            "</Apply>",
        ])
    )  # fmt: skip
    categorical = draw(
        st.sampled_from([
            '<Discretize field="x" mapMissingTo="c" defaultValue="b"><DiscretizeBin binValue="a"><Interval '
            'closure="openClosed" rightMargin="0"/></DiscretizeBin></Discretize>',
            '<Discretize field="z"><DiscretizeBin binValue="a"><Interval closure="closedOpen" leftMargin="0" '
            'rightMargin="2"/></DiscretizeBin></Discretize>',
            '<MapValues outputColumn="to" defaultValue="c" mapMissingTo="a"><FieldColumnPair field="s" column="from"/>'
            "<InlineTable><row><from>a</from><to>b</to></row><row><from>b</from><to>a</to></row></InlineTable>"
            "</MapValues>",
            '<FieldRef field="s" mapMissingTo="c"/>',
        ])
    )  # fmt: skip
    return (
        f'<LocalTransformations><DerivedField name="dn" optype="continuous" dataType="double">{numeric}</DerivedField>'
        f'<DerivedField name="dc" optype="categorical" dataType="string">{categorical}</DerivedField>'
        "</LocalTransformations>"
    )


def targets(draw: Draw, target: str) -> str:
    """Rescaling, limits and rounding of a number; priors of a class."""
    if not chance(draw, 3):
        return ""
    if target == "c":
        priors = "".join(
            f'<TargetValue value="{name}" priorProbability="{share}"/>'
            for name, share in zip(CLASSES, (0.25, 0.5, 0.25), strict=True)
        )
        return f'<Targets><Target field="c">{priors}</Target></Targets>'
    attributes = draw(
        st.sampled_from([
            'rescaleFactor="2" rescaleConstant="-0.5"', 'min="-1" max="2"', 'castInteger="round"',
            'castInteger="ceiling" min="0"', 'castInteger="floor" rescaleFactor="3"',
        ])
    )  # fmt: skip
    default = '<TargetValue defaultValue="1.5"/>' if chance(draw, 2) else ""
    return f'<Targets><Target field="y" {attributes}>{default}</Target></Targets>'


def output(draw: Draw, target: str, has_probabilities: bool = True) -> str:
    """The predicted value, what is computed of it, and probabilities."""
    fields = ['<OutputField name="predicted" feature="predictedValue"/>']
    if target == "y" and chance(draw, 2):
        fields.append(
            '<OutputField name="computed" feature="transformedValue" dataType="double" optype="continuous">'
            '<Apply function="+"><FieldRef field="predicted"/><Constant dataType="double">1</Constant></Apply>'
            "</OutputField>"
        )
    if target == "c" and has_probabilities:
        fields.extend(
            f'<OutputField name="p_{name}" feature="probability" value="{name}"/>'
            for name in CLASSES[: draw(st.integers(0, 3))]
        )
    return f"<Output>{''.join(fields)}</Output>"


def rows(draw: Draw) -> list[dict[str, Any]]:
    """Rows with ordinary, missing, unknown and far values."""
    number = st.one_of(st.none(), NUMBERS, st.sampled_from([-10.0, 0.0, 10.0]))
    result = []
    for _ in range(6):
        row = {
            "x": draw(number),
            "z": draw(number),
            "i": draw(st.one_of(st.none(), st.integers(-5, 5))),
            "s": draw(st.sampled_from([*CATEGORIES, None, "unknown"])),
        }
        result.append(row)
    return result


# --- Predicates ------------------------------------------------------------------------------------------------------


def predicate(draw: Draw, depth: int = 1) -> str:
    """A predicate of any kind."""
    kinds = ["number", "number", "integer", "category", "set", "missing"] + (["compound"] if depth else [])
    match draw(st.sampled_from(kinds)):
        case "number":
            operator = draw(st.sampled_from(["lessThan", "lessOrEqual", "greaterThan", "greaterOrEqual"]))
            name = draw(st.sampled_from(["x", "z", "dn"]))
            return f'<SimplePredicate field="{name}" operator="{operator}" value="{draw(NUMBERS)}"/>'
        case "integer":
            operator = draw(st.sampled_from(["equal", "notEqual", "lessThan"]))
            return f'<SimplePredicate field="i" operator="{operator}" value="{draw(st.integers(-2, 2))}"/>'
        case "category":
            name, operator = draw(st.sampled_from(["s", "dc"])), draw(st.sampled_from(["equal", "notEqual"]))
            return (
                f'<SimplePredicate field="{name}" operator="{operator}" value="{draw(st.sampled_from(CATEGORIES))}"/>'
            )
        case "set":
            operator = draw(st.sampled_from(["isIn", "isNotIn"]))
            return (
                f'<SimpleSetPredicate field="s" booleanOperator="{operator}"><Array n="2" type="string">a c</Array>'
                "</SimpleSetPredicate>"
            )
        case "missing":
            operator = draw(st.sampled_from(["isMissing", "isNotMissing"]))
            return f'<SimplePredicate field="{draw(st.sampled_from(["x", "s"]))}" operator="{operator}"/>'
        case _:
            operator = draw(st.sampled_from(["and", "or", "xor", "surrogate"]))
            parts = "".join(predicate(draw, depth - 1) for _ in range(2))
            return f'<CompoundPredicate booleanOperator="{operator}">{parts}</CompoundPredicate>'


# --- Model elements: what follows LocalTransformations, and attributes of the element --------------------------------

Body: TypeAlias = tuple[str, str]


def tree(draw: Draw, target: str) -> Body:
    """A tree of depth 2 at most."""
    ids = iter(range(100))

    def node(depth: int, test: str) -> str:
        own = next(ids)
        counts = [draw(st.integers(0, 9)) + (place == 0) for place in range(3)]
        score = draw(st.sampled_from(CLASSES)) if target == "c" else draw(NUMBERS)
        shares = "".join(
            f'<ScoreDistribution value="{name}" recordCount="{count}"/>'
            for name, count in zip(CLASSES, counts, strict=True)
        )
        children, default = "", ""
        if depth and (own == 0 or chance(draw, 2)):
            parts = [node(depth - 1, predicate(draw)) for _ in range(2)]
            chosen = parts[draw(st.integers(0, 1))].split('"')[1]
            default = f' defaultChild="{chosen}"'
            children = "".join(parts)
        return (
            f'<Node id="{own}" score="{score}" recordCount="{sum(counts)}"{default}>{test}'
            f"{shares if target == 'c' else ''}{children}</Node>"
        )

    missing = draw(st.sampled_from(["none", "lastPrediction", "nullPrediction", "defaultChild"]))
    otherwise = draw(st.sampled_from(["returnNullPrediction", "returnLastPrediction"]))
    attributes = f'missingValueStrategy="{missing}" noTrueChildStrategy="{otherwise}" splitCharacteristic="multiSplit"'
    return attributes, node(2, "<True/>")


def regression(draw: Draw, target: str) -> Body:
    """Linear functions of fields, categories and products."""

    def table(attributes: str) -> str:
        exponent = draw(st.sampled_from(["", 'exponent="2"']))
        terms = [
            f'<NumericPredictor name="{name}" coefficient="{draw(NUMBERS)}" {exponent if name == "x" else ""}/>'
            for name in draw(st.lists(st.sampled_from(["x", "z", "i", "dn"]), max_size=3, unique=True))
        ]
        terms += [
            f'<CategoricalPredictor name="s" value="{value}" coefficient="{draw(NUMBERS)}"/>'
            for value in draw(st.lists(st.sampled_from(CATEGORIES), max_size=2, unique=True))
        ]
        if chance(draw, 3):
            terms.append(
                f'<PredictorTerm coefficient="{draw(NUMBERS)}"><FieldRef field="x"/><FieldRef field="z"/>'
                "</PredictorTerm>"
            )
        return f'<RegressionTable intercept="{draw(NUMBERS)}" {attributes}>{"".join(terms)}</RegressionTable>'

    if target == "y":
        method = draw(st.sampled_from(["none", "logit", "exp", "softmax", "probit", "cloglog", "loglog", "cauchit"]))
        return f'normalizationMethod="{method}"', table("")
    method = draw(st.sampled_from(["simplemax", "softmax", "logit"]))
    tables = "".join(table(f'targetCategory="{name}"') for name in CLASSES)
    return f'normalizationMethod="{method}"', tables


def scorecard(draw: Draw, target: str) -> Body:
    """Characteristics with a reason each."""
    parts = []
    for number, name in enumerate(
        draw(st.lists(st.sampled_from(["x", "z", "s"]), min_size=1, max_size=3, unique=True))
    ):
        attributes = "".join(
            f'<Attribute partialScore="{draw(NUMBERS)}" reasonCode="R{number}{place}">{predicate(draw, 0)}</Attribute>'
            for place in range(2)
        )
        other = f'<Attribute partialScore="{draw(NUMBERS)}" reasonCode="O{number}"><True/></Attribute>'
        parts.append(
            f'<Characteristic name="{name}_c" baselineScore="{draw(NUMBERS)}" reasonCode="C{number}">{attributes}'
            f"{other if chance(draw, 2) else ''}</Characteristic>"
        )
    algorithm = draw(st.sampled_from(["pointsAbove", "pointsBelow"]))
    return (
        f'initialScore="{draw(NUMBERS)}" useReasonCodes="true" reasonCodeAlgorithm="{algorithm}"',
        f"<Characteristics>{''.join(parts)}</Characteristics>",
    )


def rule_set(draw: Draw, target: str) -> Body:
    """Simple rules."""
    rules = "".join(
        # Weights whose sums do not tie.
        f'<SimpleRule id="r{number}" score="{draw(st.sampled_from(CLASSES))}" '
        f'confidence="{draw(st.integers(0, 8)) / 8}" '
        f'weight="{draw(POSITIVE) + 2**-number / 64}">{predicate(draw)}</SimpleRule>'
        for number in range(draw(st.integers(1, 4)))
    )
    criterion = draw(st.sampled_from(["firstHit", "weightedSum", "weightedMax"]))
    default = ' defaultScore="no" defaultConfidence="0.25"' if chance(draw, 2) else ""
    return "", f'<RuleSet{default}><RuleSelectionMethod criterion="{criterion}"/>{rules}</RuleSet>'


def clustering(draw: Draw, target: str) -> Body:
    """Centres in the plane of x and z."""
    measure = draw(st.sampled_from(["euclidean", "squaredEuclidean", "cityBlock", "chebychev"]))
    compare = draw(st.sampled_from(["absDiff", "delta", "equal"]))
    fields = "".join(
        f'<ClusteringField field="{name}" fieldWeight="{draw(POSITIVE)}" similarityScale="{draw(POSITIVE)}"/>'
        for name in ("x", "z")
    )
    weights = '<MissingValueWeights><Array n="2" type="real">1 2</Array></MissingValueWeights>' if chance(draw) else ""
    count = draw(st.integers(1, 3))
    clusters = "".join(
        f'<Cluster id="k{number}"><Array n="2" type="real">{draw(NUMBERS)} {draw(NUMBERS)}</Array></Cluster>'
        for number in range(count)
    )
    return (
        f'modelClass="centerBased" numberOfClusters="{count}"',
        f'<ComparisonMeasure kind="distance" compareFunction="{compare}"><{measure}/></ComparisonMeasure>{fields}'
        f"{weights}{clusters}",
    )


def nearest_neighbor(draw: Draw, target: str) -> Body:
    """Instances in the space of x, z, a derived field and categories."""
    measure = draw(st.sampled_from(["euclidean", "squaredEuclidean", "cityBlock", "chebychev"]))
    inputs = f'<KNNInput field="x" fieldWeight="{draw(POSITIVE)}"/><KNNInput field="z"/>'
    if chance(draw, 2):
        inputs += f'<KNNInput field="{draw(st.sampled_from(["s", "dc"]))}" compareFunction="delta"/>'
    if chance(draw, 3):
        inputs += '<KNNInput field="dn"/>'
    near = st.integers(-20, 20).map(lambda number: number / 8)
    count = draw(st.integers(3, 8))
    instances = "".join(
        f"<row><id>n{number}</id><x>{draw(near)}</x><z>{draw(near)}</z><i>{draw(st.integers(0, 4))}</i>"
        f"<s>{draw(st.sampled_from(CATEGORIES))}</s><y>{draw(NUMBERS)}</y><c>{draw(st.sampled_from(CLASSES))}</c></row>"
        for number in range(count)
    )
    columns = "".join(f'<InstanceField field="{name}" column="{name}"/>' for name in ("id", "x", "z", "i", "s", target))
    numeric = draw(st.sampled_from(["average", "median", "weightedAverage"]))
    vote = draw(st.sampled_from(["majorityVote", "weightedMajorityVote"]))
    return (
        f'numberOfNeighbors="{draw(st.integers(1, 3))}" instanceIdVariable="id" threshold="{draw(POSITIVE)}" '
        f'continuousScoringMethod="{numeric}" categoricalScoringMethod="{vote}"',
        f"<TrainingInstances><InstanceFields>{columns}</InstanceFields><InlineTable>{instances}</InlineTable>"
        f'</TrainingInstances><ComparisonMeasure kind="distance"><{measure}/></ComparisonMeasure>'
        f"<KNNInputs>{inputs}</KNNInputs>",
    )


def naive_bayes(draw: Draw, target: str) -> Body:
    """A Gaussian and a table of counts."""

    def counts(value: str) -> str:
        items = "".join(f'<TargetValueCount value="{name}" count="{draw(st.integers(0, 9))}"/>' for name in CLASSES)
        return f'<PairCounts value="{value}"><TargetValueCounts>{items}</TargetValueCounts></PairCounts>'

    categorical = "".join(counts(value) for value in CATEGORIES)
    gaussian = "".join(
        f'<TargetValueStat value="{name}"><GaussianDistribution mean="{draw(NUMBERS)}" variance="{draw(POSITIVE)}"/>'
        "</TargetValueStat>"
        for name in CLASSES
    )
    totals = "".join(f'<TargetValueCount value="{name}" count="{draw(st.integers(1, 20))}"/>' for name in CLASSES)
    return (
        f'threshold="{draw(st.sampled_from(["0.001", "0.05"]))}"',
        f'<BayesInputs><BayesInput fieldName="s">{categorical}</BayesInput><BayesInput fieldName="x"><TargetValueStats>'
        f'{gaussian}</TargetValueStats></BayesInput></BayesInputs><BayesOutput fieldName="c"><TargetValueCounts>'
        f"{totals}</TargetValueCounts></BayesOutput>",
    )


def general_regression(draw: Draw, target: str) -> Body:
    """A generalized linear model of a covariate and a factor, or a multinomial one."""
    cells = (
        '<PPCell value="1" predictorName="x" parameterName="p1"/>'
        '<PPCell value="b" predictorName="s" parameterName="p2"/>'
        f'<PPCell value="{draw(st.sampled_from(["1", "2"]))}" predictorName="z" parameterName="p3"/>'
    )
    parameters = "".join(f'<Parameter name="p{number}" label="p{number}"/>' for number in range(4))
    lists = (
        f'<ParameterList>{parameters}</ParameterList><FactorList><Predictor name="s"/></FactorList><CovariateList>'
        f'<Predictor name="x"/><Predictor name="z"/></CovariateList><PPMatrix>{cells}</PPMatrix>'
    )
    classes = [""] if target == "y" else [f' targetCategory="{name}"' for name in CLASSES[:2]]
    beta = "".join(
        f'<PCell{name} parameterName="p{number}" beta="{draw(NUMBERS)}"/>' for name in classes for number in range(4)
    )
    if target == "c":
        return (
            'modelType="multinomialLogistic" targetReferenceCategory="maybe"',
            f"{lists}<ParamMatrix>{beta}</ParamMatrix>",
        )
    link = draw(st.sampled_from(["identity", "log", "logit", "probit", "cloglog", "loglog", "logc"]))
    return f'modelType="generalizedLinear" linkFunction="{link}"', f"{lists}<ParamMatrix>{beta}</ParamMatrix>"


def neural_network(draw: Draw, target: str) -> Body:
    """Two inputs, a hidden layer and an output."""
    activation = draw(
        st.sampled_from(["logistic", "tanh", "identity", "rectifier", "arctan", "cosine", "sine", "Gauss", "Elliott"])
    )
    inputs = "".join(
        f'<NeuralInput id="0,{number}"><DerivedField optype="continuous" dataType="double"><FieldRef field="{name}"/>'
        "</DerivedField></NeuralInput>"
        for number, name in enumerate(("x", "dn"))
    )

    def layer(level: int, size: int, before: int, attributes: str = "") -> str:
        neurons = "".join(
            f'<Neuron id="{level},{number}" bias="{draw(NUMBERS)}">'
            + "".join(f'<Con from="{level - 1},{source}" weight="{draw(NUMBERS)}"/>' for source in range(before))
            + "</Neuron>"
            for number in range(size)
        )
        return f"<NeuralLayer {attributes}>{neurons}</NeuralLayer>"

    if target == "y":
        layers = layer(1, 2, 2) + layer(2, 1, 2, 'activationFunction="identity"')
        expression = (
            '<NormContinuous field="y"><LinearNorm orig="0" norm="-1"/><LinearNorm orig="4" norm="1"/></NormContinuous>'
        )
        outputs = (
            '<NeuralOutput outputNeuron="2,0"><DerivedField optype="continuous" dataType="double">'
            f"{expression}</DerivedField></NeuralOutput>"
        )
        normalization = "none"
    else:
        normalization = draw(st.sampled_from(["softmax", "none", "simplemax"]))
        layers = layer(1, 2, 2) + layer(2, 3, 2, f'activationFunction="logistic" normalizationMethod="{normalization}"')
        outputs = "".join(
            f'<NeuralOutput outputNeuron="2,{number}"><DerivedField optype="categorical" dataType="string">'
            f'<NormDiscrete field="c" value="{name}"/></DerivedField></NeuralOutput>'
            for number, name in enumerate(CLASSES)
        )
    return (
        f'activationFunction="{activation}"',
        f'<NeuralInputs numberOfInputs="2">{inputs}</NeuralInputs>{layers}<NeuralOutputs>{outputs}</NeuralOutputs>',
    )


def support_vectors(draw: Draw, target: str) -> Body:
    """Two machines of three classes, or one of a number."""
    kernel = draw(
        st.sampled_from([
            "<LinearKernelType/>", '<RadialBasisKernelType gamma="0.25"/>',
            '<PolynomialKernelType gamma="0.5" coef0="1" degree="2"/>',
            '<SigmoidKernelType gamma="0.125" coef0="0.5"/>',
        ])
    )  # fmt: skip
    count = 3
    vectors = "".join(
        f'<VectorInstance id="v{number}"><Array n="2" type="real">{draw(NUMBERS)} {draw(NUMBERS)}</Array>'
        "</VectorInstance>"
        for number in range(count)
    )
    dictionary = (
        f'<VectorDictionary numberOfVectors="{count}"><VectorFields numberOfFields="2"><FieldRef field="x"/>'
        f'<FieldRef field="dn"/></VectorFields>{vectors}</VectorDictionary>'
    )

    def machine(attributes: str) -> str:
        references = "".join(f'<SupportVector vectorId="v{number}"/>' for number in range(count))
        coefficients = "".join(f'<Coefficient value="{draw(NUMBERS)}"/>' for _ in range(count))
        return (
            f'<SupportVectorMachine {attributes}><SupportVectors numberOfSupportVectors="{count}">{references}'
            f'</SupportVectors><Coefficients numberOfCoefficients="{count}" absoluteValue="{draw(NUMBERS)}">'
            f"{coefficients}</Coefficients></SupportVectorMachine>"
        )

    if target == "y":
        return "", kernel + dictionary + machine("")
    method = draw(st.sampled_from(["OneAgainstAll", "OneAgainstOne"]))
    if method == "OneAgainstAll":
        machines = "".join(machine(f'targetCategory="{name}"') for name in CLASSES)
    else:
        machines = "".join(
            machine(f'targetCategory="{one}" alternateTargetCategory="{other}"')
            for one, other in (("yes", "no"), ("yes", "maybe"), ("no", "maybe"))
        )
    return f'classificationMethod="{method}"', kernel + dictionary + machines


def mining(draw: Draw, target: str) -> Body:
    """Segments of trees and regressions."""
    methods = (
        ["average", "weightedAverage", "sum", "weightedSum", "median", "selectFirst"]
        if target == "y"
        else ["majorityVote", "weightedMajorityVote", "average", "weightedAverage", "selectFirst", "max"]
    )
    function = "regression" if target == "y" else "classification"
    schema = f'<MiningSchema><MiningField name="{target}" usageType="target"/>' + "".join(
        f'<MiningField name="{name}"/>' for name in ("x", "z", "i", "s", "dn", "dc")
    ) + "</MiningSchema>"  # fmt: skip
    segments = []
    for number in range(draw(st.integers(1, 3))):
        tag, make = draw(st.sampled_from([("TreeModel", tree), ("RegressionModel", regression)]))
        attributes, content = make(draw, target)
        test = predicate(draw, 0) if chance(draw, 3) else "<True/>"
        segments.append(
            f'<Segment id="{number}" weight="{draw(POSITIVE)}">{test}<{tag} functionName="{function}" {attributes}>'
            f"{schema}{content}</{tag}></Segment>"
        )
    method = draw(st.sampled_from(methods))
    return "", f'<Segmentation multipleModelMethod="{method}">{"".join(segments)}</Segmentation>'


MODELS: dict[str, tuple[Callable[[Draw, str], Body], tuple[str, ...]]] = {
    "TreeModel": (tree, ("y", "c")),
    "MiningModel": (mining, ("y", "c")),
    "RegressionModel": (regression, ("y", "c")),
    "GeneralRegressionModel": (general_regression, ("y", "c")),
    "ClusteringModel": (clustering, ("",)),
    "NearestNeighborModel": (nearest_neighbor, ("y", "c")),
    "NeuralNetwork": (neural_network, ("y", "c")),
    "NaiveBayesModel": (naive_bayes, ("c",)),
    "Scorecard": (scorecard, ("y",)),
    "RuleSetModel": (rule_set, ("c",)),
    "SupportVectorMachineModel": (support_vectors, ("y", "c")),
}
"""How each model element is made, and the targets it may have."""

_FUNCTIONS = {"y": "regression", "c": "classification", "": "clustering"}
_WITHOUT_PROBABILITIES = frozenset({"NearestNeighborModel", "RuleSetModel", "SupportVectorMachineModel"})


@st.composite
def cases(draw: Draw, tag: str) -> tuple[bytes, list[dict[str, Any]]]:
    """A document of a model element, and rows."""
    make, kinds = MODELS[tag]
    target = draw(st.sampled_from(kinds))
    attributes, content = make(draw, target)
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><PMML version="4.4" xmlns="http://www.dmg.org/PMML-4_4"><Header/>'
        f"<DataDictionary>{dictionary(draw)}</DataDictionary>"
        f'<{tag} functionName="{_FUNCTIONS[target]}" {attributes}>{mining_schema(draw, target)}'
        f"{output(draw, target, tag not in _WITHOUT_PROBABILITIES)}{targets(draw, target) if target else ''}"
        f"{transformations(draw)}{content}</{tag}></PMML>"
    )
    return text.encode(), rows(draw)
