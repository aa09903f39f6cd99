"""`file`: step times from a file that `dspark-bench profile` wrote, or that a user did."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from dspark_bench.core.cost_surface import CostSurface
from dspark_bench.core.errors import UsageError
from dspark_bench.core.json_text import load_json
from dspark_bench.costs.profiled import ProfiledCost


class FileCost(ProfiledCost):
    """A surface that somebody measured elsewhere or before."""

    def __init__(self, path: str | Path | None) -> None:
        """Raises UsageError for a file that is missing or holds no surface."""
        if path is None:
            raise UsageError("cost.path is not given; valid: a file of `profile`")
        super().__init__(read_surface(Path(path)))


def read_surface(path: Path) -> CostSurface:
    """Read a surface. Raises UsageError for a file that is missing or holds none."""
    try:
        content = load_json(path)
        found = content.get("surface", content)
        values: dict[str, Any] = {
            field.name: tuple(tuple(v) if isinstance(v, list) else v for v in found[field.name])
            for field in fields(CostSurface)
        }
        return CostSurface(**values)
    except OSError as error:
        raise UsageError(f"cost.path is {path}: {error.strerror or error}") from error
    except KeyError as error:
        raise UsageError(f"cost.path is {path}: it has no {error.args[0]!r}") from error
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise UsageError(f"cost.path is {path}: no cost surface ({error})") from error
