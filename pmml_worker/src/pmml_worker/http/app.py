"""The scoring service: health, list of models, score."""

import io
import json
import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pyarrow as pa
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pmml_worker.engine import Field, Model
from pmml_worker.errors import ScoringError, TableError
from pmml_worker.http.models import Models, Served
from pmml_worker.table import open_writer, read_batches

_JSON = "application/json"
_TEXT = {"text/csv": "csv", "text/tab-separated-values": "tsv"}

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def create_app(models: Models, body_limit: int, lifespan: Lifespan | None = None) -> Starlette:
    """Make the service.

    Args:
        models: what is served.
        body_limit: the largest body that is accepted, in bytes.
        lifespan: what is to happen around the service's life.
    """

    async def health(_: Request) -> Response:
        count = sum(item.model is not None for item in models.served.values())
        return JSONResponse({"status": "ok", "models": count})

    async def list_models(_: Request) -> Response:
        return JSONResponse([_describe(item) for item in models.served.values()])

    async def score(request: Request) -> Response:
        name = request.path_params["name"]
        served = models.served.get(name)
        if served is None:
            return _error(404, f'no model "{name}"; the models are {", ".join(models.served) or "none"}')
        if served.model is None:
            return _error(503, f'model "{name}" cannot be loaded: {served.error}')
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != _JSON and kind not in _TEXT:
            return _error(415, f'Content-Type "{kind}" is none of {", ".join((_JSON, *_TEXT))}')
        body = await _body(request, body_limit)
        if body is None:
            return _error(413, f"the body is larger than {body_limit} bytes; send the rows in pieces")
        answer = _score_json if kind == _JSON else _score_text(_TEXT[kind], kind)
        try:
            return await run_in_threadpool(answer, served.model, body)
        except ScoringError as error:
            return _error(400, str(error), row=error.row, field=error.field)
        except TableError as error:
            return _error(400, str(error))

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/models", list_models),
            Route("/models/{name}/score", score, methods=["POST"]),
        ],
        exception_handlers={HTTPException: _http_error, Exception: _failure},
        lifespan=lifespan,
    )


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, error.detail)


async def _failure(_: Request, error: Exception) -> Response:
    return _error(500, f"internal error: {type(error).__name__}; see the service's log")


def _error(status: int, message: str, **details: Any) -> Response:
    return JSONResponse({"error": message, **details}, status)


async def _body(request: Request, limit: int) -> bytes | None:
    """The body; None as soon as it is known to be larger than the limit."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        return None
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            return None
        parts.append(part)
    return b"".join(parts)


def _describe(item: Served) -> dict[str, Any]:
    model = item.model
    return {
        "name": item.name,
        "file": item.path.name,
        "inputs": [_field(field) for field in model.inputs] if model else [],
        "outputs": [_field(field) for field in model.outputs] if model else [],
        "error": item.error,
    }


def _field(field: Field) -> dict[str, Any]:
    described: dict[str, Any] = {"name": field.name, "data_type": field.data_type, "optype": field.optype}
    if field.values:
        described["values"] = list(field.values)
    if field.intervals:
        described["intervals"] = list(field.intervals)
    return described


def _score_json(model: Model, body: bytes) -> Response:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise TableError(f"the body is not JSON: {error}") from None
    if isinstance(content, dict):
        return Response(_dump(model.score([content])[0]), media_type=_JSON)
    if not isinstance(content, list):
        raise TableError("the body is neither an object of fields and values nor a list of such objects")
    return Response(_dump(model.score(content)), media_type=_JSON)


def _dump(value: Any) -> str:
    """JSON text; JSON has no NaN and no infinities, so they are given as null."""

    def finite(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: finite(part) for key, part in item.items()}
        if isinstance(item, list):
            return [finite(part) for part in item]
        return None if isinstance(item, float) and not math.isfinite(item) else item

    try:
        return json.dumps(value, allow_nan=False, ensure_ascii=False, default=str)
    except ValueError:
        return json.dumps(finite(value), ensure_ascii=False, default=str)


def _score_text(kind: str, media_type: str) -> Callable[[Model, bytes], Response]:
    def score(model: Model, body: bytes) -> Response:
        batches = list(read_batches(io.BytesIO(body), kind, max(len(body), 1 << 16)))
        table = pa.concat_tables(batches) if batches else None
        sink = io.BytesIO()
        writer = open_writer(sink, kind, model.result_schema())
        if table is not None:
            writer.write(model.score(table))
        writer.close()
        return Response(sink.getvalue(), media_type=media_type)

    return score
