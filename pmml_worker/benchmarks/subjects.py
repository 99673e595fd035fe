"""The nine models of the comparison, trained or drawn with fixed seeds, written as PMML, with the rows to score."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HEAD = '<PMML xmlns="http://www.dmg.org/PMML-4_4" version="4.4"><Header/>'
OPTYPES = {"string": "categorical", "double": "continuous", "float": "continuous"}
ROWS = 200_000
"""Rows that are drawn; fast engines score them, slow ones some of them."""


@dataclass
class Subject:
    """A model to be measured.

    Attributes:
        name: what the table calls it.
        pmml: the document's file.
        rows: the inputs, ROWS of them; `target` is not among them.
        estimator: the trained estimator of scikit-learn or XGBoost; None for the scorecard.
        native: for models without a library behind them: rows to results by plain NumPy.
    """

    name: str
    pmml: Path
    rows: pd.DataFrame
    estimator: Any = None
    native: Callable[[pd.DataFrame], Any] | None = None


def dictionary(columns: dict[str, str], target: str, classes: list[str] | None) -> str:
    """A data dictionary of doubles ("double"), of floats ("float") or of texts ("string"), and of the target."""
    fields = [
        f'<DataField name="{name}" optype="{OPTYPES[kind]}" dataType="{kind}"/>' for name, kind in columns.items()
    ]
    values = "".join(f'<Value value="{value}"/>' for value in classes or ())
    optype, kind = ("categorical", "string") if classes else ("continuous", "double")
    fields.append(f'<DataField name="{target}" optype="{optype}" dataType="{kind}">{values}</DataField>')
    return f"<DataDictionary>{''.join(fields)}</DataDictionary>"


def schema(names: list[str], target: str | None) -> str:
    """The mining schema of a model: its target, if it has one, and its inputs."""
    head = f'<MiningField name="{target}" usageType="target"/>' if target else ""
    fields = "".join(f'<MiningField name="{name}"/>' for name in names)
    return f"<MiningSchema>{head}{fields}</MiningSchema>"


def probabilities(classes: list[str]) -> str:
    """Output fields with the probability of each class."""
    fields = (
        f'<OutputField name="probability({name})" optype="continuous" dataType="double" feature="probability" '
        f'value="{name}"/>'
        for name in classes
    )
    return f"<Output>{''.join(fields)}</Output>"


def draw(columns: int, rows: int = ROWS, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray[Any, Any]]:
    """Normal columns, and a noisy label of three classes that depends on them."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(rows, columns))
    signal = np.sin(values[:, 0] * 2) + values[:, 1] * values[:, 2] + 0.7 * random.normal(size=rows)
    labels = np.digitize(signal, [-0.7, 0.7])
    return pd.DataFrame(values, columns=[f"x{i}" for i in range(columns)]), labels


# --- Trees -----------------------------------------------------------------------------------------------------------


def tree_nodes(tree: Any, classes: list[str]) -> Iterator[str]:
    """The <Node> elements of a scikit-learn decision tree, as JPMML-SkLearn writes classification trees."""
    left, right, feature, threshold = tree.children_left, tree.children_right, tree.feature, tree.threshold
    counts = tree.value[:, 0, :] * tree.weighted_n_node_samples[:, None]
    stack: list[tuple[int, str] | None] = [(0, "<True/>")]
    while stack:
        top = stack.pop()
        if top is None:
            yield "</Node>"
            continue
        node, predicate = top
        if left[node] < 0:
            score = classes[int(counts[node].argmax())]
            yield f'<Node id="{node}" score="{score}" recordCount="{float(counts[node].sum())!r}">{predicate}'
            for name, count in zip(classes, counts[node].tolist(), strict=True):
                yield f'<ScoreDistribution value="{name}" recordCount="{round(count, 6)!r}"/>'
            yield "</Node>"
            continue
        yield f'<Node id="{node}">{predicate}'
        field, value = f"x{feature[node]}", repr(float(threshold[node]))
        stack.append(None)
        stack.append((right[node], f'<SimplePredicate field="{field}" operator="greaterThan" value="{value}"/>'))
        stack.append((left[node], f'<SimplePredicate field="{field}" operator="lessOrEqual" value="{value}"/>'))


def forest(folder: Path, name: str, trees: int, columns: int, depth: int, samples: int) -> Subject:
    """A random forest that averages probabilities."""
    from sklearn.ensemble import RandomForestClassifier

    rows, labels = draw(columns)
    classes = ["a", "b", "c"]
    estimator = RandomForestClassifier(trees, max_depth=depth, random_state=0, n_jobs=2)
    estimator.fit(rows[:samples].to_numpy(np.float32), np.array(classes)[labels[:samples]])
    path = folder / f"{name}.pmml"
    names = list(rows.columns)
    with path.open("w") as file:
        file.write(HEAD + dictionary(dict.fromkeys(names, "double"), "y", classes))
        file.write(f'<MiningModel functionName="classification">{schema(names, "y")}{probabilities(classes)}')
        file.write('<Segmentation multipleModelMethod="average">')
        for position, tree in enumerate(estimator.estimators_, 1):
            file.write(f'<Segment id="{position}"><True/><TreeModel functionName="classification" ')
            file.write(f'splitCharacteristic="binarySplit">{schema(names, None)}')
            file.writelines(f"{text}\n" for text in tree_nodes(tree.tree_, classes))
            file.write("</TreeModel></Segment>")
        file.write("</Segmentation></MiningModel></PMML>")
    return Subject(name, path, rows, estimator)


def boosted_nodes(node: dict[str, Any], predicate: str) -> str:
    """The <Node> element of a node of XGBoost's JSON dump, as JPMML-XGBoost writes it."""
    if "leaf" in node:
        return f'<Node id="{node["nodeid"]}" score="{node["leaf"]!r}">{predicate}</Node>'
    children = {child["nodeid"]: child for child in node["children"]}
    field, value = node["split"], repr(float(node["split_condition"]))
    parts = (
        boosted_nodes(children[node[side]], f'<SimplePredicate field="{field}" operator="{operator}" value="{value}"/>')
        for side, operator in (("yes", "lessThan"), ("no", "greaterOrEqual"))
    )
    return f'<Node id="{node["nodeid"]}" defaultChild="{node["missing"]}">{predicate}{"".join(parts)}</Node>'


def boosted(folder: Path, name: str, trees: int) -> Subject:
    """Gradient boosted regression trees, in single precision."""
    import json

    from xgboost import XGBRegressor

    rows, labels = draw(10)
    estimator = XGBRegressor(n_estimators=trees, max_depth=6, learning_rate=0.05, n_jobs=2, base_score=0.5)
    estimator.fit(rows[:20_000], labels[:20_000] + np.sin(rows["x3"][:20_000]))
    names = list(rows.columns)
    path = folder / f"{name}.pmml"
    with path.open("w") as file:
        file.write(HEAD + dictionary(dict.fromkeys(names, "float"), "y", None))
        file.write(f'<MiningModel functionName="regression" x-mathContext="float">{schema(names, "y")}')
        file.write('<Targets><Target field="y" rescaleConstant="0.5"/></Targets>')
        file.write('<Segmentation multipleModelMethod="sum">')
        for position, text in enumerate(estimator.get_booster().get_dump(dump_format="json"), 1):
            file.write(f'<Segment id="{position}"><True/><TreeModel functionName="regression" x-mathContext="float" ')
            file.write('missingValueStrategy="defaultChild" splitCharacteristic="binarySplit">')
            nodes = boosted_nodes(json.loads(text), "<True/>")
            file.write(f"{schema(names, None)}{nodes}</TreeModel></Segment>\n")
        file.write("</Segmentation></MiningModel></PMML>")
    return Subject(name, path, rows, estimator)


# --- Functions of sums -----------------------------------------------------------------------------------------------


def logistic(folder: Path, name: str) -> Subject:
    """A logistic regression of four numbers and four texts."""
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    rows, labels = draw(4)
    random = np.random.default_rng(1)
    texts = {f"c{i}": [f"v{i}{k}" for k in range(4 + 4 * i)] for i in range(4)}
    for column, values in texts.items():
        rows[column] = np.array(values)[random.integers(len(values), size=len(rows))]
    classes = ["no", "yes"]
    answers = np.array(classes)[(labels + (rows["c1"] == "v10") > 1).astype(int)]
    estimator = make_pipeline(
        ColumnTransformer([("texts", OneHotEncoder(), list(texts))], remainder="passthrough"),
        LogisticRegression(max_iter=500),
    ).fit(rows[:20_000], answers[:20_000])
    encoder = estimator[0].named_transformers_["texts"]
    weights = estimator[1].coef_[0].tolist()
    predictors, position = "", 0
    for column, values in zip(texts, encoder.categories_, strict=True):
        for value in values:
            predictors += f'<CategoricalPredictor name="{column}" value="{value}" coefficient="{weights[position]!r}"/>'
            position += 1
    numbers = "".join(
        f'<NumericPredictor name="x{i}" coefficient="{weight!r}"/>' for i, weight in enumerate(weights[position:])
    )
    kinds = {**dict.fromkeys([f"x{i}" for i in range(4)], "double"), **dict.fromkeys(texts, "string")}
    path = folder / f"{name}.pmml"
    path.write_text(
        HEAD
        + dictionary(kinds, "y", classes)
        + f'<RegressionModel functionName="classification" normalizationMethod="logit">{schema(list(kinds), "y")}'
        + probabilities(classes)
        + f'<RegressionTable targetCategory="yes" intercept="{float(estimator[1].intercept_[0])!r}">'
        + f'{numbers}{predictors}</RegressionTable><RegressionTable targetCategory="no" intercept="0"/>'
        + "</RegressionModel></PMML>"
    )
    return Subject(name, path, rows, estimator)


def network(folder: Path, name: str) -> Subject:
    """A neural network of ten inputs and two hidden layers of 64 rectifiers."""
    from sklearn.neural_network import MLPRegressor

    rows, labels = draw(10)
    estimator = MLPRegressor(hidden_layer_sizes=(64, 64), max_iter=10, random_state=0)
    estimator.fit(rows[:20_000].to_numpy(), labels[:20_000])
    inputs = "".join(
        f'<NeuralInput id="0,{i}"><DerivedField optype="continuous" dataType="double"><FieldRef field="x{i}"/>'
        "</DerivedField></NeuralInput>"
        for i in range(10)
    )
    layers = ""
    last = len(estimator.coefs_)
    for depth, (weights, biases) in enumerate(zip(estimator.coefs_, estimator.intercepts_, strict=True), 1):
        neurons = ""
        for unit, bias in enumerate(biases.tolist()):
            edges = "".join(
                f'<Con from="{depth - 1},{source}" weight="{weight!r}"/>'
                for source, weight in enumerate(weights[:, unit].tolist())
            )
            neurons += f'<Neuron id="{depth},{unit}" bias="{bias!r}">{edges}</Neuron>'
        function = "identity" if depth == last else "rectifier"
        layers += f'<NeuralLayer activationFunction="{function}">{neurons}</NeuralLayer>'
    path = folder / f"{name}.pmml"
    path.write_text(
        HEAD
        + dictionary(dict.fromkeys(rows.columns, "double"), "y", None)
        + f'<NeuralNetwork functionName="regression" activationFunction="rectifier">{schema(list(rows.columns), "y")}'
        + f'<NeuralInputs>{inputs}</NeuralInputs>{layers}<NeuralOutputs><NeuralOutput outputNeuron="{last},0">'
        + '<DerivedField optype="continuous" dataType="double"><FieldRef field="y"/></DerivedField></NeuralOutput>'
        + "</NeuralOutputs></NeuralNetwork></PMML>"
    )
    return Subject(name, path, rows, estimator)


def clusters(folder: Path, name: str) -> Subject:
    """k-means with ten clusters of four numbers."""
    from sklearn.cluster import KMeans

    rows, _ = draw(4)
    estimator = KMeans(10, n_init=1, random_state=0).fit(rows[:20_000].to_numpy())
    fields = "".join(f'<ClusteringField field="{column}" compareFunction="absDiff"/>' for column in rows.columns)
    centers = "".join(
        f'<Cluster id="{i}"><Array n="4" type="real">{" ".join(map(repr, center.tolist()))}</Array></Cluster>'
        for i, center in enumerate(estimator.cluster_centers_)
    )
    output = (
        '<Output><OutputField name="cluster" optype="categorical" dataType="string" feature="predictedValue"/></Output>'
    )
    path = folder / f"{name}.pmml"
    path.write_text(
        HEAD
        + dictionary(dict.fromkeys(rows.columns, "double"), "unused", None)
        + '<ClusteringModel functionName="clustering" modelClass="centerBased" numberOfClusters="10">'
        + schema(list(rows.columns), None)
        + output
        + f'<ComparisonMeasure kind="distance"><squaredEuclidean/></ComparisonMeasure>{fields}{centers}'
        + "</ClusteringModel></PMML>"
    )
    return Subject(name, path, rows, estimator)


def bayes(folder: Path, name: str) -> Subject:
    """Gaussian naive Bayes of four numbers."""
    from sklearn.naive_bayes import GaussianNB

    rows, labels = draw(4)
    classes = ["a", "b", "c"]
    estimator = GaussianNB().fit(rows[:20_000].to_numpy(), np.array(classes)[labels[:20_000]])
    inputs = ""
    for i, column in enumerate(rows.columns):
        stats = "".join(
            f'<TargetValueStat value="{name}"><GaussianDistribution mean="{float(estimator.theta_[k, i])!r}" '
            f'variance="{float(estimator.var_[k, i])!r}"/></TargetValueStat>'
            for k, name in enumerate(classes)
        )
        inputs += f'<BayesInput fieldName="{column}"><TargetValueStats>{stats}</TargetValueStats></BayesInput>'
    counts = "".join(
        f'<TargetValueCount value="{name}" count="{float(count)!r}"/>'
        for name, count in zip(classes, estimator.class_count_, strict=True)
    )
    path = folder / f"{name}.pmml"
    path.write_text(
        HEAD
        + dictionary(dict.fromkeys(rows.columns, "double"), "y", classes)
        + f'<NaiveBayesModel functionName="classification" threshold="0">{schema(list(rows.columns), "y")}'
        + f'<BayesInputs>{inputs}</BayesInputs><BayesOutput fieldName="y">'
        + f"<TargetValueCounts>{counts}</TargetValueCounts></BayesOutput></NaiveBayesModel></PMML>"
    )
    return Subject(name, path, rows, estimator)


def scorecard(folder: Path, name: str) -> Subject:
    """A scorecard of eight characteristics with five ranges each, and three reason codes."""
    rows, _ = draw(8)
    random = np.random.default_rng(2)
    edges = np.sort(random.normal(size=(8, 4)), axis=1).tolist()
    points = random.integers(0, 60, size=(8, 5)).astype(float)
    baseline = points.mean(axis=1).round()
    characteristics = ""
    for i in range(8):
        attributes = ""
        for k in range(5):
            tests = []
            if k > 0:
                tests.append(f'<SimplePredicate field="x{i}" operator="greaterOrEqual" value="{edges[i][k - 1]!r}"/>')
            if k < 4:
                tests.append(f'<SimplePredicate field="x{i}" operator="lessThan" value="{edges[i][k]!r}"/>')
            predicate = "".join(tests)
            if len(tests) > 1:
                predicate = f'<CompoundPredicate booleanOperator="and">{predicate}</CompoundPredicate>'
            attributes += f'<Attribute partialScore="{points[i, k]:g}">{predicate}</Attribute>'
        characteristics += (
            f'<Characteristic name="c{i}" reasonCode="R{i}" baselineScore="{baseline[i]:g}">{attributes}'
            "</Characteristic>"
        )
    codes = "".join(
        f'<OutputField name="reason{rank}" optype="categorical" dataType="string" feature="reasonCode" rank="{rank}"/>'
        for rank in (1, 2, 3)
    )
    path = folder / f"{name}.pmml"
    path.write_text(
        HEAD
        + dictionary(dict.fromkeys(rows.columns, "double"), "y", None)
        + '<Scorecard functionName="regression" initialScore="100" useReasonCodes="true" '
        + f'reasonCodeAlgorithm="pointsBelow">{schema(list(rows.columns), "y")}<Output>{codes}</Output>'
        + f"<Characteristics>{characteristics}</Characteristics></Scorecard></PMML>"
    )
    names = np.array([f"R{i}" for i in range(8)])

    def native(frame: pd.DataFrame) -> tuple[Any, Any]:
        values = frame.to_numpy()
        partial = np.stack([points[i][np.searchsorted(edges[i], values[:, i], side="right")] for i in range(8)], axis=1)
        worst = np.argsort(-(baseline - partial), axis=1, kind="stable")[:, :3]
        return partial.sum(axis=1) + 100, names[worst]

    return Subject(name, path, rows, native=native)


def support_vectors(folder: Path, name: str) -> Subject:
    """A support vector machine with a radial basis kernel, two classes of ten numbers."""
    from sklearn.svm import SVC

    rows, labels = draw(10)
    estimator = SVC(gamma=0.1).fit(rows[:1_500].to_numpy(), np.array(["no", "yes"])[(labels[:1_500] > 1).astype(int)])
    vectors = "".join(
        f'<VectorInstance id="{i}"><Array n="10" type="real">{" ".join(map(repr, vector.tolist()))}</Array>'
        "</VectorInstance>"
        for i, vector in enumerate(estimator.support_vectors_)
    )
    fields = "".join(f'<FieldRef field="{column}"/>' for column in rows.columns)
    weights = "".join(f'<Coefficient value="{-value!r}"/>' for value in estimator.dual_coef_[0].tolist())
    count = len(estimator.support_vectors_)
    path = folder / f"{name}.pmml"
    path.write_text(
        HEAD
        + dictionary(dict.fromkeys(rows.columns, "double"), "y", ["no", "yes"])
        + '<SupportVectorMachineModel functionName="classification" classificationMethod="OneAgainstOne" threshold="0">'
        + schema(list(rows.columns), "y")
        + '<RadialBasisKernelType gamma="0.1"/>'
        + f'<VectorDictionary numberOfVectors="{count}"><VectorFields numberOfFields="10">{fields}</VectorFields>'
        + f'{vectors}</VectorDictionary><SupportVectorMachine targetCategory="no" alternateTargetCategory="yes">'
        + f'<SupportVectors numberOfAttributes="10" numberOfSupportVectors="{count}">'
        + "".join(f'<SupportVector vectorId="{i}"/>' for i in range(count))
        + f'</SupportVectors><Coefficients numberOfCoefficients="{count}" '
        + f'absoluteValue="{-float(estimator.intercept_[0])!r}">{weights}</Coefficients></SupportVectorMachine>'
        + "</SupportVectorMachineModel></PMML>"
    )
    return Subject(name, path, rows, estimator)


SUBJECTS: dict[str, Callable[[Path, str], Subject]] = {
    "rf 50x3": lambda folder, name: forest(folder, name, 50, 3, 8, 5_000),
    "rf 500x30": lambda folder, name: forest(folder, name, 500, 30, 12, 34_000),
    "xgb 500": lambda folder, name: boosted(folder, name, 500),
    "logistic": logistic,
    "mlp 64-64": network,
    "k-means 10": clusters,
    "naive Bayes": bayes,
    "scorecard": scorecard,
    "svm rbf": support_vectors,
}
"""How each model of the table is made."""
