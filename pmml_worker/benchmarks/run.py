"""Measures this engine, other PMML engines and native libraries side by side, and writes the table for the docs.

    pmml_worker/benchmarks/run [--models NAME ...] [--output FILE] [--seconds S]

Rates are rows per second of a table in memory, on two threads where an engine has threads: the median of three rounds
in which the engines take turns, so that a busy moment of the machine meets them all.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import math
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engines import NATIVE, PEERS, RowScorer, Scorer, Unsupported, ours
from subjects import SUBJECTS, Subject
from tqdm import tqdm

ROUNDS = 3


def rate(score: Scorer, subject: Subject, count: int, seconds: float) -> float:
    """Rows per second of repeated calls that take about so many seconds."""
    rows = subject.rows[:count]
    start, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - start < seconds:
        score(rows)
        calls += 1
    return calls * count / (time.perf_counter() - start)


def fitting(score: Scorer, subject: Subject, seconds: float) -> int:
    """How many rows an engine scores in about so many seconds at once, at most all."""
    count = 100
    while count < len(subject.rows):
        start = time.perf_counter()
        score(subject.rows[:count])
        if time.perf_counter() - start > seconds / 2:
            break
        count *= 4
    return min(count, len(subject.rows))


def one_row(score: RowScorer, subject: Subject, seconds: float) -> float:
    """Median seconds of a single row given as a dict, cycling over a thousand rows."""
    rows = subject.rows[:1000].to_dict("records")
    times = []
    end = time.perf_counter() + seconds
    for row in itertools.cycle(rows):
        start = time.perf_counter_ns()
        score(row)
        times.append(time.perf_counter_ns() - start)
        if time.perf_counter() > end and len(times) > 20:
            return statistics.median(times) * 1e-9
    raise AssertionError


Measured = dict[str, tuple[float, float, float]]
"""By engine: rows per second, seconds of one row, seconds of loading."""


def measure(subject: Subject, seconds: float, bar: tqdm) -> tuple[Measured, dict[str, str]]:
    """Measure every engine on a model; also tell why some could not."""
    makers: dict[str, Callable[[Subject], tuple[Scorer, RowScorer]]] = {"ours": ours, **PEERS, **NATIVE}
    scorers: dict[str, tuple[Scorer, RowScorer, int, float]] = {}
    failed: dict[str, str] = {}
    for name, make in makers.items():
        bar.set_description(f"{subject.name}: {name} loads")
        try:
            start = time.perf_counter()
            score, score_row = make(subject)
            loaded = time.perf_counter() - start
            scorers[name] = score, score_row, fitting(score, subject, seconds), loaded
        except Exception as error:  # Engines fail in ways of their own; the table says which could not.
            if name == "ours":
                raise
            reason = str(error) if isinstance(error, Unsupported) else f"{type(error).__name__}: {error}"
            failed[name] = reason.splitlines()[0][:200]
        bar.update()
    rates: dict[str, list[float]] = {name: [] for name in scorers}
    for _ in range(ROUNDS):
        for name, (score, _, count, _) in scorers.items():
            bar.set_description(f"{subject.name}: {name}")
            rates[name].append(rate(score, subject, count, seconds))
    singles = {}
    for name, (_, score_row, _, _) in scorers.items():
        try:
            singles[name] = one_row(score_row, subject, seconds)
        except Exception:  # No row by row in that engine.
            singles[name] = math.nan
    return {name: (statistics.median(rates[name]), singles[name], scorers[name][3]) for name in scorers}, failed


def shown(value: float) -> str:
    """A rate in few characters."""
    for limit, unit in ((1e6, " M"), (1e3, " k")):
        if value >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}"


def micros(value: float) -> str:
    """Seconds as microseconds."""
    return "-" if math.isnan(value) else f"{value * 1e6:.3g}"


def load_alone(subject: Subject) -> tuple[float, int]:
    """Seconds and peak MiB of a process that loads a document and does nothing else."""
    code = (
        "import sys, time; import pmml_worker; start = time.perf_counter(); pmml_worker.load(sys.argv[1]);"
        "seconds = time.perf_counter() - start; status = open('/proc/self/status').read();"
        "print(seconds, int(status.split('VmHWM:')[1].split()[0]) // 1024)"
    )
    result = subprocess.run([sys.executable, "-c", code, str(subject.pmml)], capture_output=True, text=True, check=True)
    seconds, peak = result.stdout.split()
    return float(seconds), int(peak)


def best(measured: Measured, names: dict[str, Any]) -> tuple[str, float]:
    """The fastest of some engines; nothing at all where none could."""
    found = [(measured[name][0], name) for name in names if name in measured]
    speed, name = max(found, default=(0.0, "-"))
    return name, speed


def report(results: dict[str, tuple[Measured, dict[str, str]]], loads: dict[str, tuple[float, int]]) -> str:
    """The table, as Markdown."""
    packages = [
        "pmml-worker", "jpmml-evaluator", "pypmml", "sklearn-pmml-model", "scikit-learn", "xgboost", "onnxruntime",
        "tl2cgen", "numpy", "pyarrow",
    ]  # fmt: skip
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    lines = [
        f"Measured on {time.strftime('%Y-%m-%d')}: {len(os.sched_getaffinity(0))} cores of {processor()}, "
        f"Python {platform.python_version()}; {versions}.",
        "",
        "| model | ours, rows/s | best PMML peer, rows/s | ratio | fastest native library, rows/s | ratio "
        "| one row, us: ours | best peer |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, (measured, _) in results.items():
        mine = measured["ours"]
        peer, peer_rate = best(measured, PEERS)
        native, native_rate = best(measured, NATIVE)
        times = [measured[item][1] for item in PEERS if item in measured]
        single = min((seconds for seconds in times if not math.isnan(seconds)), default=math.nan)
        ratios = [f"{mine[0] / other:.3g} x" if other else "-" for other in (peer_rate, native_rate)]
        lines.append(
            f"| {name} | {shown(mine[0])} | {shown(peer_rate)} ({peer}) | {ratios[0]} "
            f"| {shown(native_rate)} ({native}) | {ratios[1]} | {micros(mine[1])} | {micros(single)} |"
        )
    lines += ["", "Loading, each in a process of its own:", "", "| model | MB | seconds | peak MiB |"]
    lines.append("|---|---|---|---|")
    for name, (seconds, peak) in loads.items():
        size = FOLDER.joinpath(f"{name}.pmml").stat().st_size / 1e6
        lines.append(f"| {name} | {size:.3g} | {seconds:.3g} | {peak} |")
    return "\n".join(lines) + "\n"


def processor() -> str:
    """The processor's name."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


FOLDER = Path(os.environ.get("PMML_BENCHMARK_FOLDER", Path(__file__).resolve().parents[2] / ".cache" / "benchmarks"))


def main() -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--models", nargs="+", choices=list(SUBJECTS), default=list(SUBJECTS), metavar="NAME",
                        help=f"which of {', '.join(SUBJECTS)} (default: all)")  # fmt: skip
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the table goes, too")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement (default: 1)")
    arguments = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.filterwarnings("ignore")  # What others think of names of columns would hide the progress.
    results: dict[str, tuple[Measured, dict[str, str]]] = {}
    loads = {}
    with tqdm(total=len(arguments.models) * (1 + len(PEERS) + len(NATIVE)), disable=None) as bar:
        for name in arguments.models:
            bar.set_description(f"{name}: trains")
            subject = SUBJECTS[name](FOLDER, name)
            loads[name] = load_alone(subject)
            results[name] = measure(subject, arguments.seconds, bar)
            measured, failed = results[name]
            tqdm.write(f"{name}, loaded in {loads[name][0]:.2f} s with a peak of {loads[name][1]} MiB", file=sys.stderr)
            for engine, (speed, single, loading) in measured.items():
                tqdm.write(f"  {engine:20} {shown(speed):>9} rows/s {micros(single):>9} us/row  load {loading:.2f} s",
                           file=sys.stderr)  # fmt: skip
            for engine, reason in failed.items():
                tqdm.write(f"  {engine:20} {reason}", file=sys.stderr)
    table = report(results, loads)
    print(table)
    if arguments.output is not None:
        arguments.output.write_text(table, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
