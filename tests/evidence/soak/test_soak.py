"""The soak's arithmetic on hand-made records, and a small soak of tiny models."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from dspark_bench.core.records import CycleRecord, RequestRecord, RunResult
from dspark_bench.core.types import Request
from dspark_bench.evidence.soak.accounting import Memory, Totals, round_problems
from dspark_bench.evidence.soak.soak import SoakPlan, run_soak, section
from tests.cycles import cycle_record
from tests.sweeps import tiny_overrides
from tests.tiny_models import TinyZoo

_EOS = 0
_REQUEST = Request(7, "p", "math", (5, 6, 8), max_new_tokens=4)


def _cycle(drafted: int, accepted: int, emitted: int, cut: int = 0) -> CycleRecord:
    return cycle_record(
        request_id=7,
        num_drafted=drafted,
        verify_len=drafted,
        num_accepted=accepted,
        is_rejected=accepted < drafted,
        num_emitted=emitted,
        num_cut=cut,
    )


def _record(tokens: tuple[int, ...] = (5, 5, 5, 5), reason: str = "length") -> RequestRecord:
    return RequestRecord(7, "p", "math", 3, tokens, reason, 0.0, 0.0, 0.0, 0.0)


_CYCLES = (_cycle(0, 0, 1), _cycle(3, 2, 3))


def _found(*records: RequestRecord, cycles: tuple[CycleRecord, ...] = _CYCLES) -> list[str]:
    return round_problems([_REQUEST], RunResult(list(records), list(cycles)), (_EOS,))


def test_a_round_that_adds_up_has_no_problem() -> None:
    assert _found(_record()) == []
    ended = (_cycle(0, 0, 1), _cycle(3, 2, 2, cut=2))
    assert _found(_record((5, 5, _EOS), "eos"), cycles=ended) == []
    assert _found(_record((), "rejected"), cycles=()) == []


@pytest.mark.parametrize(
    ("records", "cycles", "named"),
    [
        ((), (), "request 7 is lost"),
        ((_record(), _record()), _CYCLES, "came back 2 times"),
        ((_record(), replace(_record(), request_id=8)), _CYCLES, "request 8 was never sent"),
        ((_record(),), _CYCLES[:1], "4 tokens, but its cycles emitted 1"),
        ((replace(_record(), num_prompt_tokens=2),), _CYCLES, "2 prompt tokens"),
        ((_record((5, 5, 5)),), (_cycle(2, 2, 3),), "ends after 3 of 4"),
        ((_record((5, _EOS, 5, 5)),), _CYCLES, "ends after 4 of 4"),
        ((_record((5, 5, 5, 5), "eos"),), _CYCLES, "ends after 4 of 4"),
        ((_record((5, 5, 5, 5), "stopped"),), _CYCLES, "ends after 4 of 4"),
        ((_record(),), (_cycle(3, 2, 4),), "3 drafted, 3 verified, 2 accepted, 4 emitted"),
        ((_record(),), (_cycle(1, 2, 3), _CYCLES[0]), "1 drafted, 1 verified, 2 accepted"),
    ],
)
def test_each_loss_is_named(
    records: tuple[RequestRecord, ...], cycles: tuple[CycleRecord, ...], named: str
) -> None:
    assert any(named in problem for problem in _found(*records, cycles=cycles))


def test_totals_leave_unread_prompts_out() -> None:
    one = Totals.of(RunResult([_record(), _record((), "rejected")], list(_CYCLES)))
    assert one == Totals(Counter(length=1, rejected=1), 3, 4, 2, 2)
    assert (one + one).output_tokens == 8
    assert (one + one).reasons == Counter(length=2, rejected=2)


def test_memory_is_flat_or_it_is_not() -> None:
    assert Memory((1000.0,) * 40).problems() == []
    warm_up = (*range(500, 1000, 25), *(1000.0,) * 20)
    assert Memory(warm_up).growth_mib == 0
    rising = Memory(tuple(1000.0 + 3 * number for number in range(40)))
    assert rising.growth_mib == 30
    assert rising.slope_mib(100) == pytest.approx(30)
    assert rising.limit_mib == pytest.approx(0.02 * 1058.5)
    assert rising.problems() == ["memory grew by 30.0 MiB; allowed: 21.2"]
    assert Memory(tuple(1000.0 + 3 * number for number in range(39))).problems() == []


@pytest.mark.slow
def test_a_small_soak_accounts_for_everything(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    common = [o for o in tiny_overrides(tiny_zoo, tmp_path) if not o.startswith("drafter")]
    ours = f"drafter.path={tiny_zoo.semi_ar}"
    arms = (
        ("drafter=none",),
        ("drafter=semi_ar", ours),
        ("drafter=semi_ar", ours, "scheduler=hardware_aware", "cost=flat"),
        ("drafter=ar", f"drafter.path={tiny_zoo.ar}"),
        ("drafter=semi_ar", ours, "scheduler=threshold"),
    )
    plan = SoakPlan(arms, tuple(common), num_requests=42, per_round=5, rate=200.0)
    lines: list[str] = []
    done = run_soak(plan, lines.append)
    assert done.problems == []
    assert (len(lines), done.seen) == (5 + 9, set(range(42 + 5 * 16)))
    assert done.totals.reasons.total() == 122
    text = section(plan, done, "1a2b3c4")
    assert "| requests sent / came back once | 122 / 122 |" in text
    assert "| cache rows not given back after a round | 0 |" in text
