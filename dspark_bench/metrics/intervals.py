"""A figure with its 95 % interval."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % interval and the number of units it rests on.

    value is None where the figure does not exist; low and high also with fewer than two units.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int

    def as_json(self) -> dict[str, float | int | None]:
        """value, low, high, n."""
        return asdict(self)

    def text(self, digits: int = 2) -> str:
        """Such as `1.16 [1.12-1.20]`, `1.16` without bounds, `-` without a value."""
        if self.value is None:
            return "-"
        value = f"{self.value:.{digits}f}"
        if self.low is None or self.high is None:
            return value
        return f"{value} [{self.low:.{digits}f}-{self.high:.{digits}f}]"
