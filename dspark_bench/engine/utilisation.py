"""How busy the machine is, by whatever process, read so rarely that a cycle does not feel it."""

from pathlib import Path

SAMPLE_PERIOD_S = 0.25
_STAT = Path("/proc/stat")
_IDLE_FIELDS = (3, 4)
_NUM_FIELDS = 8


class CpuUtilisation:
    """Share of all cores in use between the last two samples; NaN where the system does not say."""

    def __init__(self) -> None:
        self._sampled_s = float("-inf")
        self._ticks = _read_ticks()
        self._share = float("nan")

    def share(self, now_s: float) -> float:
        """In [0, 1]; read anew if the last sample is older than `SAMPLE_PERIOD_S`."""
        if now_s - self._sampled_s >= SAMPLE_PERIOD_S:
            before, self._ticks = self._ticks, _read_ticks()
            busy, total = (after - old for after, old in zip(self._ticks, before, strict=True))
            self._share = busy / total if total > 0 else self._share
            self._sampled_s = now_s
        return self._share

    def restart(self) -> None:
        """A clock that starts at zero again: the next call samples."""
        self._sampled_s = float("-inf")


def _read_ticks() -> tuple[int, int]:
    """Busy and total ticks of all cores since boot; zeros where there is no /proc/stat."""
    try:
        first = _STAT.read_text(encoding="ascii").partition("\n")[0].split()
        values = [int(text) for text in first[1 : 1 + _NUM_FIELDS]]
    except (OSError, ValueError):
        return 0, 0
    return sum(values) - sum(values[i] for i in _IDLE_FIELDS), sum(values)
