"""Spark itself: where it is, how it starts, the files of its file systems, and its errors in one line."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pmml_worker.errors import WorkerError

SPARK_HOME = "/opt/spark"

_TELL_TASKS_ERRORS = (
    "org.apache.spark.executor.Executor",
    "org.apache.spark.scheduler.TaskSetManager",
    "org.apache.spark.sql.execution.datasources.FileFormatWriter",
    "org.apache.spark.util.Utils",
)
"""Loggers that print the stack trace of each attempt of a task that fails; `reason` tells it once."""


class SparkError(WorkerError):
    """Spark is not there, does not start, or could not do its part."""


def find_spark() -> None:
    """Make Spark's own Python importable, unless it is.

    Raises:
        SparkError: there is no Spark where SPARK_HOME says, or nothing that its Python needs.
    """
    if importlib.util.find_spec("pandas") is None:
        raise SparkError("Spark's Python needs the Python module pandas; install pmml-worker[spark]")
    if importlib.util.find_spec("pyspark") is not None:
        return
    home = Path(os.environ.setdefault("SPARK_HOME", SPARK_HOME))
    archives = [str(path) for path in home.glob("python/lib/py4j-*.zip")]
    if not (home / "python" / "pyspark").is_dir() or not archives:
        raise SparkError(f"no Spark with Python in {home}; SPARK_HOME names the folder that holds bin, jars and python")
    sys.path[:0] = [str(home / "python"), *archives]


@contextlib.contextmanager
def session(name: str, master: str | None, settings: Mapping[str, str]) -> Iterator[Any]:
    """A SparkSession that is stopped at the end; what is not given here is as Spark's own configuration says.

    Raises:
        SparkError: Spark is missing, does not start, or fails within the context.
    """
    find_spark()
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName(name)
    # Spark shows its bar only in shells, unless it is told to.
    builder = builder.config("spark.ui.showConsoleProgress", str(sys.stderr.isatty()).lower())
    if master:
        builder = builder.master(master)
    for key, value in settings.items():
        builder = builder.config(key, value)
    try:
        spark = builder.getOrCreate()
        try:
            _prepare(spark)
            yield spark
        finally:
            spark.stop()
    except (Py4JError, PySparkException) as error:
        raise SparkError(reason(error)) from None
    except ConnectionError:
        raise SparkError("Spark: its JVM has ended; what it wrote last says why") from None


def _prepare(spark: Any) -> None:
    context = spark.sparkContext
    configuration = context.getConf()
    if "PYSPARK_PYTHON" not in os.environ:
        # A driver that spark-submit did not start does not look at this setting.
        context.pythonExec = configuration.get("spark.pyspark.python", sys.executable)
    # Names of PMML fields differ by case; results do not depend on where the driver is.
    spark.conf.set("spark.sql.caseSensitive", "true")
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    # The default is a type that Parquet has given up.
    spark.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    # Spark checks a line's number of values only when it reads all of them.
    spark.conf.set("spark.sql.csv.parser.columnPruning.enabled", "false")
    log4j = context._jvm.org.apache.logging.log4j
    for logger in _TELL_TASKS_ERRORS:
        log4j.core.config.Configurator.setLevel(logger, log4j.Level.OFF)


def reason(error: Exception) -> str:
    """What went wrong, in one line, out of the stack traces of Python and Java that Spark makes of it."""
    cause = getattr(error, "java_exception", None)
    while cause is not None and cause.getCause() is not None:
        cause = cause.getCause()
    text = str(error) if cause is None else cause.getMessage() or str(cause.getClass().getName())
    if told := re.findall(r"^pmml_worker\.errors\.\w+: (.*)", text, re.MULTILINE):
        return str(told[-1])
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("\tat ")]
    return "Spark: " + (lines[-1] if "Traceback (most recent call last):" in text else " ".join(lines[:3]))


class Files:
    """Files and folders by Hadoop URL or path, which a path without scheme means in the default file system."""

    def __init__(self, spark: Any) -> None:
        self._jvm = spark.sparkContext._jvm
        self._configuration = spark.sparkContext._jsc.hadoopConfiguration()

    def _open(self, url: str) -> tuple[Any, Any]:
        path = self._jvm.org.apache.hadoop.fs.Path(url)
        system = path.getFileSystem(self._configuration)
        return system, system.makeQualified(path)

    def qualified(self, url: str) -> str:
        """The URL with scheme and host."""
        return str(self._open(url)[1])

    def encoded(self, url: str) -> str:
        """The same, percent-encoded as a URI is."""
        return str(self._open(url)[1].toUri())

    def matches(self, url: str) -> bool:
        """Whether a file or folder is there, or any that a glob means."""
        system, path = self._open(url)
        return bool(system.globStatus(path))

    def is_file(self, url: str) -> bool:
        """Whether a file is there."""
        system, path = self._open(url)
        return bool(system.exists(path) and system.getFileStatus(path).isFile())

    def exists(self, url: str) -> bool:
        """Whether a file or folder has this very name."""
        system, path = self._open(url)
        return bool(system.exists(path))

    def delete(self, url: str) -> None:
        """Remove a file or folder with all that is in it, if it is there."""
        system, path = self._open(url)
        system.delete(path, True)

    def rename(self, old: str, new: str) -> None:
        """Give a file or folder another name.

        Raises:
            SparkError: the file system refuses to.
        """
        system, path = self._open(old)
        if not system.rename(path, self._open(new)[1]):
            raise SparkError(f"{old} cannot be renamed to {new}")
