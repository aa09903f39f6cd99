"""Hand-made record frames: every argument left out takes a neutral value."""

from collections.abc import Sequence

import pandas as pd

from dspark_bench.metrics.frames import BASELINE, SPECULATIVE
from dspark_bench.metrics.sums import Pooling, Sums, collect_sums


def cycle(**values: object) -> dict[str, object]:
    row: dict[str, object] = {
        "arm": SPECULATIVE,
        "repeat": 0,
        "block": 0,
        "is_warmup": False,
        "cycle": 0,
        "request_id": 0,
        "num_drafted": 0,
        "verify_len": 0,
        "num_accepted": 0,
        "is_rejected": False,
        "num_emitted": 1,
        "num_cut": 0,
        "full_width": True,
        "is_prefill": False,
        "has_prefill": False,
        "batch_size": 1,
        "batch_tokens": 1,
        "num_waiting": 0,
        "cpu_busy": float("nan"),
        "started_s": 0.0,
        "t_draft_s": 0.0,
        "t_schedule_s": 0.0,
        "t_verify_s": 1.0,
        "t_accept_s": 0.0,
        "t_engine_s": 0.0,
        "confidence": (),
        "calibrated": (),
        "expected_acceptance": (),
    }
    assert set(values) <= set(row)
    return row | values


def request(**values: object) -> dict[str, object]:
    row: dict[str, object] = {
        "arm": SPECULATIVE,
        "repeat": 0,
        "block": 0,
        "is_warmup": False,
        "request_id": 0,
        "prompt_id": "p0",
        "domain": "math",
        "num_prompt_tokens": 10,
        "output_tokens": (1, 2, 3),
        "finish_reason": "length",
        "scheduled_s": 0.0,
        "admitted_s": 0.0,
        "first_token_s": 1.0,
        "finished_s": 3.0,
        "margins": (),
    }
    assert set(values) <= set(row)
    return row | values


def drafted(length: int, accepted: int, rejected: bool = False, **values: object) -> dict:
    """A speculative cycle that verified `length` and emitted the accepted ones and a bonus."""
    defaults: dict[str, object] = {
        "num_drafted": length,
        "verify_len": length,
        "num_accepted": accepted,
        "is_rejected": rejected,
        "num_emitted": accepted + 1,
        "t_draft_s": 0.4,
    }
    return cycle(**(defaults | values))


def numbered(rows: Sequence[dict[str, object]]) -> pd.DataFrame:
    """Frame with the cycles numbered in order of appearance, each its own batch."""
    return pd.DataFrame([row | {"cycle": place} for place, row in enumerate(rows)])


def both_arms(*prompts: str) -> pd.DataFrame:
    """One request per prompt and arm; request ids count up from 0."""
    return pd.DataFrame(
        [
            request(arm=arm, request_id=place, prompt_id=prompt)
            for arm in (BASELINE, SPECULATIVE)
            for place, prompt in enumerate(prompts or ("p0",))
        ]
    )


def total_of(rows: Sequence[dict[str, object]], gamma: int = 4, **pooling: object) -> Sums:
    """Totals of cycles that all belong to request 0."""
    return collect_sums(numbered(rows), both_arms(), Pooling(gamma, **pooling)).total()
