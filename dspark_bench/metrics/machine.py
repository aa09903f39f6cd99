"""What else the machine did while a point was timed, and from when on that is too much.

Readings are taken right before and right after an arm works, never within a cycle: a turn during
which other arms work in between has several windows. The limits below are the
only ones; terminal, report and `doctor` all ask `machine_warnings`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

OTHER_SHARE: Final = 0.10
OTHER_SHARE_IN_A_TURN: Final = 0.50
STEAL_SHARE: Final = 0.01
QUOTA_SHARE: Final = 0.001
FREQUENCY_DROP: Final = 0.10
SWAP_BYTES: Final = 2**20
SHORTEST_TURN_S: Final = 0.2
"""Processor time is counted in hundredths of a second: too coarse to judge a shorter turn alone."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Counters since boot (or since the process began), at one moment; None where not reported.

    time_s: monotonic clock; busy_s, steal_s: processor seconds of all cores, all processes; own_s:
    of this process, all threads; frequency_mhz: of the fastest core; num_throttles: thermal
    throttling events; quota_s: seconds that a container's CPU quota held this process back;
    num_switches: times that its threads were sent off a core.
    """

    time_s: float
    own_s: float
    busy_s: float | None = None
    steal_s: float | None = None
    swap_in_bytes: float | None = None
    swap_out_bytes: float | None = None
    frequency_mhz: float | None = None
    num_throttles: float | None = None
    quota_s: float | None = None
    num_switches: float | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """A turn between two readings, or one of the stretches that it was served in."""

    arm: str
    repeat: int
    block: int
    is_warmup: bool
    before: Reading
    after: Reading

    @property
    def turn(self) -> tuple[str, int, int]:
        """The turn that it belongs to: arm, repeat and block."""
        return self.arm, self.repeat, self.block

    @property
    def elapsed_s(self) -> float:
        """Seconds between the readings."""
        return self.after.time_s - self.before.time_s

    def grown(self, name: str) -> float | None:
        """By how much a counter grew; None where it was not reported."""
        first, last = getattr(self.before, name), getattr(self.after, name)
        return None if first is None or last is None else last - first

    @property
    def other_s(self) -> float | None:
        """Processor seconds of other processes; coarse, and below 0 by rounding."""
        busy, own = self.grown("busy_s"), self.grown("own_s")
        return None if busy is None or own is None else busy - own


@dataclass(frozen=True, slots=True)
class MachineSummary:
    """The `machine` block of metrics.json, over timed turns without warm-up; None: not reported.

    other_cores: cores kept busy by other processes on average (`_max`: in the worst turn of at
    least `SHORTEST_TURN_S`; by arm as well, since only a difference between arms moves S);
    steal_share: of all cores' time, taken by the hypervisor; quota_share: of the turns' time.
    """

    num_cores: int
    num_turns: int
    elapsed_s: float
    other_cores: float | None
    other_cores_max: float | None
    other_cores_by_arm: dict[str, float | None]
    steal_share: float | None
    quota_share: float | None
    swap_in_bytes: float | None
    swap_out_bytes: float | None
    frequency_min_mhz: float | None
    frequency_max_mhz: float | None
    num_throttles: float | None
    switches_per_s: float | None

    def as_json(self) -> dict[str, Any]:
        """Plain values, and under `warnings` what exceeds a limit."""
        content = asdict(self)
        return {**content, "warnings": list(machine_warnings(content))}


def summarise_machine(windows: Sequence[Window], num_cores: int) -> MachineSummary:
    """Pool the measured turns. num_cores: of the machine."""
    timed = [window for window in windows if not window.is_warmup]
    elapsed_s = sum(window.elapsed_s for window in timed)
    turns = by_turn(timed)
    long = [own for own in turns if _length(own) >= SHORTEST_TURN_S]
    worst = [found for own in long if (found := _other_cores(own)) is not None]
    steal_s = _sum(timed, "steal_s")
    frequencies = [
        reading.frequency_mhz
        for window in timed
        for reading in (window.before, window.after)
        if reading.frequency_mhz is not None
    ]
    # temperature and swap do not wait for a turn: whatever happened since the first one counts,
    # but for the time between an interruption and the process that went on
    whole = [_span(part) for part in _processes(timed)]
    return MachineSummary(
        num_cores=num_cores,
        num_turns=len(turns),
        elapsed_s=elapsed_s,
        other_cores=_other_cores(timed),
        other_cores_max=max(worst, default=None),
        other_cores_by_arm={
            arm: _other_cores([window for window in timed if window.arm == arm])
            for arm in dict.fromkeys(window.arm for window in timed)
        },
        steal_share=_over(steal_s, elapsed_s * num_cores),
        quota_share=_over(_sum(timed, "quota_s"), elapsed_s),
        swap_in_bytes=_sum(whole, "swap_in_bytes"),
        swap_out_bytes=_sum(whole, "swap_out_bytes"),
        frequency_min_mhz=min(frequencies, default=None),
        frequency_max_mhz=max(frequencies, default=None),
        num_throttles=_sum(whole, "num_throttles"),
        switches_per_s=_over(_sum(timed, "num_switches"), elapsed_s),
    )


def by_turn(windows: Iterable[Window]) -> list[list[Window]]:
    """The windows of each turn."""
    turns: dict[tuple[str, int, int], list[Window]] = {}
    for window in windows:
        turns.setdefault(window.turn, []).append(window)
    return list(turns.values())


def machine_warnings(content: Mapping[str, Any]) -> tuple[str, ...]:
    """What was seen that is too much for a trustworthy timing; empty for a quiet machine.

    content: a `machine` block, of which any value may be missing.
    """
    return (*_load_warnings(content), *_hardware_warnings(content))


def _load_warnings(content: Mapping[str, Any]) -> list[str]:
    found = []
    cores = _number(content, "num_cores")
    other, most = _number(content, "other_cores"), _number(content, "other_cores_max")
    has_most = isinstance(content.get("other_cores_max"), int | float)
    if cores and (other > OTHER_SHARE * cores or most > OTHER_SHARE_IN_A_TURN * cores):
        worst = (
            f"at most {most:.1f} in one turn; limits {OTHER_SHARE:.0%} and "
            f"{OTHER_SHARE_IN_A_TURN:.0%}"
            if has_most
            else f"limit {OTHER_SHARE:.0%}; every turn was too short to be judged alone"
        )
        found.append(f"other processes kept {other:.1f} of {cores:.0f} cores busy ({worst})")
    steal, quota = _number(content, "steal_share"), _number(content, "quota_share")
    if steal > STEAL_SHARE:
        found.append(
            f"the hypervisor took {steal:.1%} of the processor time (steal; limit "
            f"{STEAL_SHARE:.0%})"
        )
    if quota > QUOTA_SHARE:
        found.append(
            f"a CPU quota held the process back for {quota:.1%} of the time "
            f"(limit {QUOTA_SHARE:.1%})"
        )
    return found


def _hardware_warnings(content: Mapping[str, Any]) -> list[str]:
    found = []
    low, high = _number(content, "frequency_min_mhz"), _number(content, "frequency_max_mhz")
    if high and low < (1 - FREQUENCY_DROP) * high:
        found.append(
            f"the fastest core ran at {low:.0f} to {high:.0f} MHz between turns "
            f"(limit {FREQUENCY_DROP:.0%} apart)"
        )
    throttles = _number(content, "num_throttles")
    if throttles > 0:
        found.append(f"{throttles:.0f} thermal throttling events")
    swap_in, swap_out = _number(content, "swap_in_bytes"), _number(content, "swap_out_bytes")
    if swap_in + swap_out > SWAP_BYTES:
        found.append(
            f"{swap_in / 2**20:.1f} MiB were swapped in and {swap_out / 2**20:.1f} MiB out "
            f"(limit {SWAP_BYTES / 2**20:.0f} MiB)"
        )
    return found


def _other_cores(windows: Sequence[Window]) -> float | None:
    """Summed first and cut at 0 last, so that rounding cancels."""
    known = [window for window in windows if window.other_s is not None]
    found = _over(sum(window.other_s or 0.0 for window in known), _length(known))
    return None if found is None else max(0.0, found)


def _span(windows: Sequence[Window]) -> Window:
    """From the first reading to the last."""
    first, last = windows[0], windows[-1]
    return Window(first.arm, first.repeat, first.block, False, first.before, last.after)


def _processes(windows: Sequence[Window]) -> list[list[Window]]:
    """The windows of each process that measured: its own time starts anew."""
    parts: list[list[Window]] = []
    for window in windows:
        if not parts or window.before.own_s < parts[-1][-1].after.own_s:
            parts.append([])
        parts[-1].append(window)
    return parts


def _length(windows: Sequence[Window]) -> float:
    return sum(window.elapsed_s for window in windows)


def _sum(windows: Sequence[Window], name: str) -> float | None:
    known = [found for window in windows if (found := window.grown(name)) is not None]
    return sum(known) if known else None


def _over(amount: float | None, whole: float) -> float | None:
    return None if amount is None or whole <= 0 else amount / whole


def _number(content: Mapping[str, Any], name: str) -> float:
    """0 where it is missing or no number: nothing was seen."""
    value = content.get(name)
    return float(value) if isinstance(value, int | float) else 0.0
