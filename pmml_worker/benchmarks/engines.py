"""The engines that are compared, each as a function that makes a scorer of a document or of a trained estimator."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from subjects import Subject

Scorer = Callable[[pd.DataFrame], Any]
RowScorer = Callable[[Mapping[str, Any]], Any]

THREADS = 2


class Unsupported(Exception):
    """An engine cannot score the model; the table shows a dash."""


def ours(subject: Subject) -> tuple[Scorer, RowScorer]:
    """This package, from an Arrow table to an Arrow table."""
    import pyarrow as pa

    import pmml_worker

    model = pmml_worker.load(subject.pmml)
    tables: dict[int, pa.Table] = {}

    def score(rows: pd.DataFrame) -> Any:
        table = tables.get(len(rows))
        if table is None:
            table = tables[len(rows)] = pa.Table.from_pandas(rows, preserve_index=False).combine_chunks()
        return model.score(table)

    return score, model.score_row


def jpmml(subject: Subject) -> tuple[Scorer, RowScorer]:
    """JPMML-Evaluator, from Python: interpreted, and transpiled to Java where that works."""
    from jpmml_evaluator import make_evaluator

    evaluator = make_evaluator(str(subject.pmml), transpile=subject.pmml.stat().st_size < 50_000_000).verify()
    return (lambda rows: evaluator.evaluateAll(rows)), (lambda row: evaluator.evaluate(row))


def pypmml(subject: Subject) -> tuple[Scorer, RowScorer]:
    """PMML4S, by its Python package."""
    from pypmml import Model

    model = Model.load(str(subject.pmml))
    return model.predict, model.predict


def sklearn_pmml_model(subject: Subject) -> tuple[Scorer, RowScorer]:
    """sklearn-pmml-model: a scikit-learn estimator made of the document."""
    from sklearn_pmml_model.auto_detect import auto_detect_estimator

    model = auto_detect_estimator(str(subject.pmml))
    predict = getattr(model, "predict_proba", model.predict)
    return predict, lambda row: predict(pd.DataFrame([row]))


def estimator(subject: Subject) -> tuple[Scorer, RowScorer]:
    """The library that the model came from, scikit-learn or XGBoost; for the scorecard, NumPy."""
    if subject.native is not None:
        native = subject.native
        return native, lambda row: native(pd.DataFrame([row]))
    model = subject.estimator
    predict = getattr(model, "predict_proba", model.predict)
    plain = "Pipeline" in type(model).__name__
    if type(model).__name__ == "XGBRegressor":
        return (lambda rows: model.predict(rows.to_numpy(np.float32))), lambda row: model.predict([list(row.values())])
    return (lambda rows: predict(rows if plain else rows.to_numpy())), lambda row: predict(pd.DataFrame([row]))


def onnxruntime(subject: Subject) -> tuple[Scorer, RowScorer]:
    """ONNX Runtime, in single precision, after conversion by skl2onnx."""
    import onnxruntime as ort
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    if subject.estimator is None or type(subject.estimator).__module__.startswith("xgboost"):
        raise Unsupported("skl2onnx converts scikit-learn's estimators only")
    options = ort.SessionOptions()
    options.intra_op_num_threads = THREADS
    texts = [name for name in subject.rows if name.startswith("c")]
    if texts:
        types = [(name, (StringTensorType if name in texts else FloatTensorType)([None, 1])) for name in subject.rows]
        document = to_onnx(subject.estimator, initial_types=types, options={"zipmap": False})
    else:
        flags = {id(subject.estimator): {"zipmap": False}} if hasattr(subject.estimator, "predict_proba") else None
        document = to_onnx(subject.estimator, subject.rows[:1].to_numpy(np.float32), options=flags)
    session = ort.InferenceSession(document.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def feed(rows: pd.DataFrame) -> dict[str, Any]:
        if not texts:
            return {session.get_inputs()[0].name: rows.to_numpy(np.float32)}
        return {name: rows[name].to_numpy(object if name in texts else np.float32).reshape(-1, 1) for name in rows}

    fed: dict[int, dict[str, Any]] = {}

    def score(rows: pd.DataFrame) -> Any:
        if len(rows) not in fed:
            fed[len(rows)] = feed(rows)
        return session.run(None, fed[len(rows)])

    return score, lambda row: session.run(None, feed(pd.DataFrame([row])))


def tl2cgen(subject: Subject) -> tuple[Scorer, RowScorer]:
    """Treelite's compiler: the forest as C, compiled by this machine's compiler."""
    import tempfile

    import tl2cgen as compiler
    import treelite

    kind = type(subject.estimator).__name__
    if kind not in ("RandomForestClassifier", "XGBRegressor") or subject.pmml.stat().st_size > 50_000_000:
        raise Unsupported("forests only, and those that a C compiler can take")
    if kind == "XGBRegressor":
        model = treelite.frontend.from_xgboost(subject.estimator.get_booster())
    else:
        model = treelite.sklearn.import_model(subject.estimator)
    path = f"{tempfile.mkdtemp()}/model.so"
    compiler.export_lib(model, toolchain="gcc", libpath=path, params={"parallel_comp": THREADS})
    predictor = compiler.Predictor(path, nthread=THREADS)
    dtype = "float32" if kind == "XGBRegressor" else "float64"
    held: dict[int, Any] = {}

    def score(rows: pd.DataFrame) -> Any:
        if len(rows) not in held:
            held[len(rows)] = compiler.DMatrix(rows.to_numpy(), dtype=dtype)
        return predictor.predict(held[len(rows)])

    return score, lambda row: predictor.predict(compiler.DMatrix(np.array([list(row.values())]), dtype=dtype))


os.environ["PMML_WORKER_THREADS"] = str(THREADS)

PEERS = {"JPMML": jpmml, "PMML4S": pypmml, "sklearn-pmml-model": sklearn_pmml_model}
"""Engines that read PMML."""

NATIVE = {"estimator": estimator, "ONNX Runtime": onnxruntime, "tl2cgen": tl2cgen}
"""Engines that score what the document was made of."""
