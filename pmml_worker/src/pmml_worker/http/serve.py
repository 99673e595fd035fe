"""`pmml-worker serve`: the models of a directory over HTTP."""

import argparse
import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from pmml_worker.errors import TableError
from pmml_worker.http.app import create_app
from pmml_worker.http.models import Models

HELP = "serve the models of a directory over HTTP"

_RELOAD_SECONDS = 1.0
_MEBIBYTE = 1 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommand's arguments."""
    parser.add_argument("--models", type=Path, required=True, metavar="DIR", help="directory of .pmml and .xml files")
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on (default: %(default)s)")
    parser.add_argument("--body-limit", type=int, default=64, metavar="MIB",
                        help="largest request body in MiB (default: %(default)s)")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to stop; return the exit status."""
    directory: Path = arguments.models
    if not directory.is_dir():
        raise TableError(f"{directory} is no directory; --models names the directory of the PMML files")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    models = Models(directory)
    models.refresh()

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        stop = threading.Event()
        watching = asyncio.create_task(asyncio.to_thread(models.watch, _RELOAD_SECONDS, stop))
        yield
        stop.set()
        await watching

    app = create_app(models, arguments.body_limit * _MEBIBYTE, lifespan)
    uvicorn.run(app, host=arguments.host, port=arguments.port, log_config=None)
    return 0
