"""Result files: a point's folder appears whole or not at all, and the tables are rebuilt from them.

Layout: design section 6. Whoever reads a results folder needs no code of this package.
"""

import errno
import json
import math
import os
import shutil
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from dspark_bench.config.point_config import PointConfig
from dspark_bench.core.errors import EXIT_INTERNAL, BenchError
from dspark_bench.core.json_text import load_json
from dspark_bench.machine.environment import Environment
from dspark_bench.measure.identity import SCHEMA_VERSION, Identity
from dspark_bench.measure.point import PointResult
from dspark_bench.reading.files import part_of
from dspark_bench.store.failures import reason_of

POINTS = "points"
ERROR_FILE = "error.json"
COST_SURFACE = "cost_surface.json"
ASIDE = ".aside"
_IS_THERE = (errno.EEXIST, errno.ENOTEMPTY)


@dataclass(frozen=True, slots=True)
class StoredPoint:
    """A point's folder as read back: `metrics.json` (then it is measured) or `error.json`, and its
    environment.
    """

    point_id: str
    is_measured: bool
    content: dict[str, Any]
    environment: dict[str, Any]

    @property
    def is_finished(self) -> bool:
        """Whether it was measured to its end."""
        return self.is_measured and not part_of(self.content, "facts").get("interrupted")


class PointStore:
    """The `points/` folder of one sweep."""

    def __init__(self, folder: Path) -> None:
        self._points = folder / POINTS

    def save_result(self, point: PointConfig, identity: Identity, result: PointResult) -> None:
        """Write a finished point; replaces an earlier failure of the same point.

        A result that another process has put there meanwhile stays.
        """

        def fill(folder: Path) -> None:
            result.cycles.to_parquet(folder / "cycles.parquet", index=False)
            result.requests.to_parquet(folder / "requests.parquet", index=False)
            metrics = {
                "schema_version": SCHEMA_VERSION,
                "point": describe_point(point, identity),
                "facts": result.facts,
                "notes": list(result.notes),
                "machine": result.machine.as_json(),
                "gpu": result.gpu,
                **result.summary.as_json(),
            }
            write_json(folder / "metrics.json", metrics)
            if len(result.gpu_samples):
                result.gpu_samples.to_parquet(folder / "gpu.parquet", index=False)
            for name, table in result.summary.tables.items():
                table.to_csv(folder / f"{name}.csv", index=False, float_format="%.6g")
            if result.surface is not None:
                text = json.dumps({"surface": asdict(result.surface)})
                replace_text(folder / COST_SURFACE, text + "\n")

        self._write(point, identity, result.environment, fill)

    def save_failure(
        self, point: PointConfig, identity: Identity, environment: Environment, error: Exception
    ) -> None:
        """Write what went wrong; such a point is tried again by the next run.

        A result that another process has put there meanwhile stays.
        """
        trace = "".join(traceback.format_exception(error))
        content = {
            "schema_version": SCHEMA_VERSION,
            "point": describe_point(point, identity),
            "type": type(error).__name__,
            "message": reason_of(error),
            "exit_code": error.exit_code if isinstance(error, BenchError) else EXIT_INTERNAL,
            "traceback": trace,
        }
        self._write(
            point,
            identity,
            environment,
            lambda folder: write_json(folder / ERROR_FILE, content),
        )

    def is_finished(self, point_id: str) -> bool:
        """Whether the point has been measured to its end and can be read."""
        stored = self.load(point_id)
        return stored is not None and stored.is_finished

    def load(self, point_id: str) -> StoredPoint | None:
        """A stored point; None if there is none or it cannot be read."""
        folder = self._points / point_id
        is_measured = (folder / "metrics.json").is_file()
        content = read_json(folder / ("metrics.json" if is_measured else ERROR_FILE))
        environment = read_json(folder / "environment.json")
        if content is None or environment is None or not _is_sound(content):
            return None
        return StoredPoint(point_id, is_measured, content, environment)

    def load_all(self) -> list[StoredPoint]:
        """Every stored point, by id."""
        return [stored for name in self._names() if (stored := self.load(name)) is not None]

    def damaged(self) -> list[str]:
        """Ids of points whose folders are there and cannot be read."""
        return [name for name in self._names() if self.load(name) is None]

    def _names(self) -> list[str]:
        return sorted(path.name for path in self._points.glob("[!.]*") if path.is_dir())

    def forget(self, point_ids: Iterable[str]) -> None:
        """Delete these points; others in the folder stay. Raises OSError if one cannot be."""
        for point_id in point_ids:
            self._discard(point_id)

    def copy_from(self, source: Path) -> None:
        """Take over a point's folder from another sweep, whole. Raises OSError."""
        with self._aside(source.name) as aside:
            shutil.copytree(source, aside, dirs_exist_ok=True)

    def sweep_up(self) -> None:
        """Delete what killed runs left half written. For a run that holds the folder alone."""
        for path in [*self._points.glob(f"{ASIDE}-*"), *self._points.parent.glob(f"*{ASIDE}-*")]:
            owner = path.name.rsplit("-", 1)[1]
            if owner.isdecimal() and psutil.pid_exists(int(owner)):
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _write(
        self,
        point: PointConfig,
        identity: Identity,
        environment: Environment,
        fill: Callable[[Path], None],
    ) -> None:
        with self._aside(identity.point_id) as aside:
            fill(aside)
            (aside / "config.yaml").write_text(
                yaml.safe_dump(point.values, sort_keys=False), encoding="utf-8"
            )
            write_json(aside / "environment.json", environment.as_json())

    @contextmanager
    def _aside(self, point_id: str) -> Iterator[Path]:
        """A folder to fill; it is on the disk, whole, before it is renamed into place."""
        aside = self._points / f"{ASIDE}-{point_id}-{os.getpid()}"
        shutil.rmtree(aside, ignore_errors=True)
        try:
            aside.mkdir(parents=True)
            yield aside
            for path in (*aside.iterdir(), aside):
                _to_disk(path)
            self._publish(aside, point_id)
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def _publish(self, aside: Path, point_id: str) -> None:
        """Rename into place, unless a finished point is there."""
        while not self.is_finished(point_id):
            try:
                aside.rename(self._points / point_id)
            except OSError as error:
                if error.errno not in _IS_THERE:
                    raise
                self._discard(point_id)
            else:
                _to_disk(self._points)
                return

    def _discard(self, point_id: str) -> None:
        """Delete a point by renaming it first: a deletion that is cut short leaves no half of it
        under its name.
        """
        gone = self._points / f"{ASIDE}-gone-{point_id}-{os.getpid()}"
        shutil.rmtree(gone, ignore_errors=True)
        with suppress(FileNotFoundError):
            (self._points / point_id).rename(gone)
            shutil.rmtree(gone, ignore_errors=True)


def _to_disk(path: Path) -> None:
    """Have the system write a file, or a folder's entries, out now. Raises OSError for a file."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():  # not every file system syncs folders
            raise
    finally:
        os.close(handle)


def _is_sound(content: dict[str, Any]) -> bool:
    """Whether a point's file has the parts that tables are made of."""
    point = content.get("point")
    parts = [content.get("facts", {}), content.get("summary", {})]
    parts.append(point.get("keys") if isinstance(point, dict) else None)
    return all(isinstance(part, dict) for part in parts)


def describe_point(point: PointConfig, identity: Identity) -> dict[str, Any]:
    """Who a point is: id, chosen options, and every key flattened."""
    chosen = {group: name for group, name in point.choices.items() if name is not None}
    return {
        "point_id": identity.point_id,
        "keys": {**flatten(point.values), **chosen},
    }


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested keys joined with dots; lists stay as they are."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write strictly valid JSON whole: NaN and infinities become null."""
    text = json.dumps(_plain(content), indent=2, allow_nan=False)
    replace_text(path, text + "\n")


def replace_text(path: Path, text: str) -> None:
    """Write a file aside and rename it into place. Raises OSError."""
    aside = path.with_name(f"{path.name}{ASIDE}-{os.getpid()}")
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object, or None if it is not there or not readable."""
    with suppress(OSError, ValueError):
        content = load_json(path)
        return content if isinstance(content, dict) else None
    return None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, Sequence):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
