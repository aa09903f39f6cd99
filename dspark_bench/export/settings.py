"""What every engine's module gives back, and what they ask of a schedule first."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dspark_bench.export.drafter import kind_of
from dspark_bench.export.schedule import Schedule

_BLOCK_VERIFIERS: Final = ("vLLM",)
_NOWHERE: Final = {
    "hydra": "no engine reads Hydra's heads",
    "jetspec": "no engine drafts from causal blocks in trees; a chain of it is dflash with another "
    "mask, which its configuration cannot say",
    "layer_skip": "no engine drafts with the target's own first layers",
}
"""Kinds that none of the four has, and why."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """One engine's settings. lines: for a screen; value: for a machine, JSON or a line of flags,
    None with a reason; notes: what to mind.
    """

    engine: str
    lines: tuple[str, ...] = ()
    value: Any = None
    reason: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The value as it is printed alone."""
        return self.value if isinstance(self.value, str) else json_line(self.value)


def obstacle(
    engine: str,
    schedule: Schedule,
    methods: Mapping[str, str],
    reasons: Mapping[str, str] | None = None,
) -> str | None:
    """Why an engine gets no settings at all. methods: by kind of drafter; reasons: why it has none,
    by kind, where there is more to say than that.
    """
    if not schedule.choices:
        return schedule.reason
    if schedule.point is None or schedule.longest == 0:
        return "no speculation: no measured S is clear above 1"
    kind = kind_of(schedule.point)
    if kind not in methods:
        why = _NOWHERE | dict(reasons or {})
        said = f": {why[kind]}" if kind in why else ""
        return f"drafter={schedule.point.text('drafter')} is no method of {engine}{said}"
    is_sampled = (schedule.point.number("temperature") or 0.0) > 0
    is_block = is_sampled and schedule.point.keys.get("acceptance") == "block"
    if is_block and engine not in _BLOCK_VERIFIERS:
        return (
            f"acceptance=block was measured, and {engine} does not verify blocks (vLLM does); "
            "measure acceptance=exact"
        )
    return None


def method_of(schedule: Schedule, methods: Mapping[str, str]) -> str:
    """The engine's name for the drafter of a schedule without an `obstacle`."""
    assert schedule.point is not None
    return methods[kind_of(schedule.point) or ""]


def flags(words: Sequence[str]) -> str:
    """Words as a shell takes them."""
    return shlex.join(words)


def json_line(value: Any) -> str:
    """One line of JSON without anything that is not JSON."""
    return json.dumps(value, allow_nan=False)
