"""Small time series documents for tests."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from documents import document

from pmml_worker import Model, load

HORIZON = '<DataField name="h" optype="continuous" dataType="integer"/>'
TARGET = '<DataField name="y" optype="continuous" dataType="double"/>'
SCHEMA = '<MiningSchema><MiningField name="y" usageType="target"/><MiningField name="h"/></MiningSchema>'
OUTPUT = """<Output><OutputField name="forecast" feature="predictedValue"/>
<OutputField name="error" feature="standardError"/>
<OutputField name="lower" feature="confidenceIntervalLower" value="80"/>
<OutputField name="upper" feature="confidenceIntervalUpper" value="80"/></Output>"""

Floats = npt.NDArray[np.float64]


def numbers(values: Iterable[float]) -> str:
    """An Array of real numbers."""
    texts = [repr(float(value)) for value in values]
    return f'<Array type="real" n="{len(texts)}">{" ".join(texts)}</Array>'


def matrix(rows: Any) -> str:
    """A Matrix of real numbers."""
    table = np.atleast_2d(np.asarray(rows, np.float64))
    arrays = "".join(numbers(row) for row in table)
    return f'<Matrix nbRows="{table.shape[0]}" nbCols="{table.shape[1]}">{arrays}</Matrix>'


def series(values: Sequence[float], attributes: str = 'usage="original"', start: int = 1, anchor: str = "") -> str:
    """A TimeSeries of values with indexes."""
    items = "".join(f'<TimeValue index="{start + place}" value="{value!r}"/>' for place, value in enumerate(values))
    return f"<TimeSeries {attributes}>{anchor}{items}</TimeSeries>"


def load_series(
    best_fit: str, content: str, fields: str = TARGET + HORIZON, mining_schema: str = SCHEMA, output: str = OUTPUT
) -> Model:
    """A loaded TimeSeriesModel."""
    return load(
        document(
            f'<TimeSeriesModel functionName="timeSeries" bestFit="{best_fit}">{mining_schema}{output}{content}'
            "</TimeSeriesModel>",
            fields,
        )
    )


def ahead(model: Model, steps: int = 24, column: str = "forecast") -> Floats:
    """What a model says of the steps from 1."""
    rows = model.score([{"h": step} for step in range(1, steps + 1)])
    return np.array([np.nan if row[column] is None else row[column] for row in rows])


def arima(
    p: Sequence[float] = (),
    d: int = 0,
    q: Sequence[float] = (),
    seasonal: tuple[Sequence[float], int, Sequence[float], int] | None = None,
    residuals: Sequence[float] | None = None,
    attributes: str = "",
    after: str = "",
) -> str:
    """An ARIMA element."""

    def coefficients(ar: Sequence[float], ma: Sequence[float], given: Sequence[float] | None) -> str:
        text = f"<AR>{numbers(ar)}</AR>" if ar else ""
        if ma:
            stored = "" if given is None else f"<Residuals>{numbers(given)}</Residuals>"
            text += f"<MA><MACoefficients>{numbers(ma)}</MACoefficients>{stored}</MA>"
        return text

    component = ""
    if seasonal is not None:
        ar, order, ma, period = seasonal
        component = (
            f'<SeasonalComponent P="{len(ar)}" D="{order}" Q="{len(ma)}" period="{period}">'
            f"{coefficients(ar, ma, residuals)}</SeasonalComponent>"
        )
        residuals = None if ma else residuals
    return (
        f'<ARIMA {attributes}><NonseasonalComponent p="{len(p)}" d="{d}" q="{len(q)}">{coefficients(p, q, residuals)}'
        f"</NonseasonalComponent>{component}{after}</ARIMA>"
    )
