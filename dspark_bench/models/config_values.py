"""Values of a `config.json`, read one by one: each is checked, or refused with its key."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dspark_bench.core.errors import CheckpointError
from dspark_bench.core.json_text import load_json
from dspark_bench.models.config_keys import shown

MAX_COUNT: Final = 2**24
"""Above every layer, head, hidden size, vocabulary or context that a decoder has had."""


def read_json(path: Path) -> dict[str, Any]:
    """Parse a JSON object. Raises CheckpointError naming the file."""
    try:
        data = load_json(path)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} must hold a JSON object, found {type(data).__name__}")
    return data


@dataclass(frozen=True, slots=True)
class ValueReader:
    """Values of a `config.json`. Each raises CheckpointError with the key, the value and what is
    valid; a key that is absent or null takes the default, if there is one.
    """

    data: dict[str, Any]
    source: str

    def count(
        self, key: str, least: int = 1, most: int = MAX_COUNT, default: int | None = None
    ) -> int:
        """A whole number from `least` to `most`."""
        value = self._get(key, default)
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        if not (is_whole and least <= value <= most):
            raise CheckpointError(
                f"{self.source}: {key} is {shown(value)}; valid: a whole number, {least} to {most}"
            )
        return int(value)

    def positive(self, key: str, default: float | None = None) -> float:
        """A finite number above 0."""
        return check_positive(self._get(key, default), key, self.source)

    def flag(self, key: str, default: bool) -> bool:
        """true or false."""
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise CheckpointError(f"{self.source}: {key} is {shown(value)}; valid: true or false")
        return value

    def _get(self, key: str, default: object) -> Any:
        value = self.data.get(key)
        if value is None and default is None:
            raise CheckpointError(f"{self.source} lacks the key {key!r}")
        return default if value is None else value


def check_positive(value: Any, key: str, source: str) -> float:
    """A finite number above 0. Raises CheckpointError."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and 0 < value < float("inf")):
        raise CheckpointError(f"{source}: {key} is {shown(value)}; valid: a number above 0")
    return float(value)
