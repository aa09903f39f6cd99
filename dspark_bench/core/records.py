"""What a run leaves: a record of every request in every cycle, and of every request.

They are the rows of `cycles.parquet` and `requests.parquet`, and what schedulers learn from.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

REJECTED: Final = "rejected"
STOPPED: Final = "stopped"
NOT_SENT: Final = "not_sent"
UNSERVED: Final = (REJECTED, STOPPED, NOT_SENT)
"""Finish reasons of requests that got no token: turned away on arrival because the queue was full;
still waiting when the turn stopped; not even due by then."""


@dataclass(frozen=True, slots=True)
class CycleRecord:
    """One request in one cycle: a row of `cycles.parquet`. Times are the whole batch's, seconds.

    num_waiting: requests that had arrived and found no place; cpu_busy: share of all cores in use,
    by whatever process, as last sampled (NaN where the system does not say).

    Of a tree, num_drafted and verify_len count nodes, tree_depth is the depth of the deepest node
    verified, path holds the accepted nodes from the anchor on, and survival the estimates of all
    nodes where a scheduler read them. Of a chain they are 0 and empty: its depth is verify_len.
    """

    cycle: int
    request_id: int
    num_drafted: int
    verify_len: int
    num_accepted: int
    is_rejected: bool
    num_emitted: int
    num_cut: int
    full_width: bool
    is_prefill: bool
    has_prefill: bool
    batch_size: int
    batch_tokens: int
    num_waiting: int
    cpu_busy: float
    started_s: float
    t_draft_s: float
    t_schedule_s: float
    t_verify_s: float
    t_accept_s: float
    t_engine_s: float
    confidence: tuple[float, ...] = ()
    expected_acceptance: tuple[float, ...] = ()
    tree_depth: int = 0
    path: tuple[int, ...] = ()
    survival: tuple[float, ...] = ()

    @property
    def duration_s(self) -> float:
        """Wall time of the whole cycle."""
        parts = (self.t_draft_s, self.t_schedule_s, self.t_verify_s, self.t_accept_s)
        return sum(parts) + self.t_engine_s


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request and how it ended: a row of `requests.parquet`. Times count from the run's start.

    finish_reason: `eos`, `length`, or one of `UNSERVED`; those have no tokens, and NaN for the
    times of what never happened. margins: gap between the two largest target logits at each token,
    negative where the token is not that of the largest, kept for greedy runs only; tie_limits: the
    largest gap there that rounding explains.
    """

    request_id: int
    prompt_id: str
    domain: str
    num_prompt_tokens: int
    output_tokens: tuple[int, ...]
    finish_reason: str
    scheduled_s: float
    admitted_s: float
    first_token_s: float
    finished_s: float
    margins: tuple[float, ...] = ()
    tie_limits: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class RunLimits:
    """When a run gives up on requests that wait. What runs by then is finished.

    max_turn_s: seconds after which nothing more is started; None: twice the time of the last
    arrival, at least `MIN_TURN_S`, so that an overloaded run ends. max_waiting: requests that may
    wait for a place, those beyond are turned away on arrival; None: any number.
    """

    max_turn_s: float | None = None
    max_waiting: int | None = None


MIN_TURN_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class RunResult:
    """What an engine gives back for one set of requests, one record each.

    stop_reason: the limit that kept some of them from being served, `max_turn_s` before
    `max_waiting`; None if all were.
    """

    requests: list[RequestRecord] = field(default_factory=list)
    cycles: list[CycleRecord] = field(default_factory=list)
    wall_s: float = 0.0

    @property
    def stop_reason(self) -> str | None:
        """Name of the limit that was hit."""
        return stop_reason({record.finish_reason for record in self.requests})


def stop_reason(finish_reasons: Collection[str]) -> str | None:
    """The limit of `RunLimits` behind a run's finish reasons; None if every request was served."""
    if STOPPED in finish_reasons or NOT_SENT in finish_reasons:
        return "max_turn_s"
    return "max_waiting" if REJECTED in finish_reasons else None
