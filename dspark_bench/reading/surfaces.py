"""Step-cost surfaces beside results: a point's own, or a file that `dspark-bench profile` wrote."""

from pathlib import Path
from typing import Any, Final

from dspark_bench.core.cost_surface import CostSurface
from dspark_bench.core.errors import ResultsError
from dspark_bench.reading.files import read_object

SURFACE: Final = "cost_surface.json"
"""In a point's folder, if its scheduler read measured costs."""


def read_surface(path: Path) -> CostSurface:
    """A stored surface. Raises ResultsError."""
    content = read_object(path)
    if isinstance(content, str):
        raise ResultsError(f"{path}: {content}")
    found = content.get("surface", content)
    names = CostSurface.__dataclass_fields__
    try:
        return CostSurface(**{name: _tuples(found[name]) for name in names})
    except (KeyError, TypeError, ValueError) as error:
        raise ResultsError(f"cannot read {path}: no cost surface ({error})") from error


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
