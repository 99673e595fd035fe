"""The models of a directory, loaded again when their files change."""

import logging
import threading
from dataclasses import dataclass
from pathlib import Path

from pmml_worker.engine import Model, load
from pmml_worker.errors import ScoringError, WorkerError

_LOG = logging.getLogger(__name__)
_SUFFIXES = (".pmml.xml", ".pmml", ".xml")


def model_name(file_name: str) -> str | None:
    """The name that a file's model is served by: the file's without its suffix; None if it is no PMML file's."""
    for suffix in _SUFFIXES:
        if file_name.endswith(suffix) and file_name != suffix and not file_name.startswith("."):
            return file_name.removesuffix(suffix)
    return None


@dataclass(frozen=True, slots=True)
class Served:
    """A file and what came of it.

    Attributes:
        name: the name that the model is served by.
        path: the file.
        stamp: the file's modification time in ns, size in bytes and inode when it was read.
        model: the model of the last version that could be loaded; None if none could.
        error: why the file as it is cannot be loaded; None if it can.
    """

    name: str
    path: Path
    stamp: tuple[int, int, int]
    model: Model | None
    error: str | None


class Models:
    """Models by name. One thread refreshes; others read a snapshot that is replaced as a whole."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._served: dict[str, Served] = {}
        self._lock = threading.Lock()

    @property
    def served(self) -> dict[str, Served]:
        """All files by the name of their model."""
        return self._served

    def refresh(self) -> None:
        """Load what is new or changed, forget what is gone; a broken new version leaves the old model in service."""
        with self._lock:
            found: dict[str, Served] = {}
            for path in sorted(self.directory.iterdir()):
                name = model_name(path.name)
                if name is None:
                    continue
                try:
                    status = path.stat()
                except OSError:
                    continue  # Taken away since the directory was listed, or a link to nowhere.
                if not path.is_file():
                    continue
                if name in found:
                    _LOG.warning("%s is not served: %s has its name already", path.name, found[name].path.name)
                    continue
                stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
                old = self._served.get(name)
                if old is not None and old.path == path and old.stamp == stamp:
                    found[name] = old
                else:
                    found[name] = _read(name, path, stamp, old)
            for name in self._served.keys() - found.keys():
                _LOG.info("model %s is gone", name)
            self._served = found

    def watch(self, seconds: float, stop: threading.Event) -> None:
        """Refresh again and again until told to stop."""
        while not stop.wait(seconds):
            try:
                self.refresh()
            except OSError as error:
                _LOG.error("%s cannot be read: %s", self.directory, error)


def _read(name: str, path: Path, stamp: tuple[int, int, int], old: Served | None) -> Served:
    try:
        model = load(path)
        if model.is_verifiable:
            differences = model.verify().differences
            if differences:
                raise ScoringError(f"results are not those of its ModelVerification: {differences[0]}")
    except (WorkerError, OSError) as error:
        kept = old.model if old else None
        _LOG.error("%s is not loaded: %s%s", path.name, error, "; the model before it stays in service" if kept else "")
        return Served(name, path, stamp, kept, str(error))
    _LOG.info("model %s is loaded from %s", name, path.name)
    return Served(name, path, stamp, model, None)
