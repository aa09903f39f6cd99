"""Both arms of a point with unequal outputs, late admissions and no two equal times.

Whatever is taken from the other arm, from another moment or another percentile reads otherwise.
"""

import numpy as np
import pandas as pd
import pytest

from dspark_bench.metrics import acceptance, costs, speed
from dspark_bench.metrics.gap import speedup_gap
from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.latency import e2e_s, tpot_s, ttft_s, user_rates
from dspark_bench.metrics.noise_floor import NoiseFloor
from dspark_bench.metrics.serving import machine_values, queue_curves, unserved_values
from dspark_bench.metrics.slo import Slo, meets
from dspark_bench.metrics.summary import SummaryContext, summarise
from dspark_bench.metrics.sums import Pooling, Sums, collect_sums
from dspark_bench.metrics.theory import CostProfile
from dspark_bench.metrics.timeline import turn_timeline
from tests.metrics.records import cycle, drafted, request, total_of

SLO = Slo(ttft_s=3.0, tpot_s=1.0)


def answered(
    arm: str, place: int, times: tuple[float, float, float, float], num_tokens: int
) -> dict[str, object]:
    """times: scheduled, admitted, first token, last token."""
    scheduled, admitted, first, finished = times
    return request(
        arm=arm, request_id=place, prompt_id=f"p{place}", output_tokens=tuple(range(num_tokens)),
        scheduled_s=scheduled, admitted_s=admitted, first_token_s=first, finished_s=finished,
    )  # fmt: skip


OURS = [
    answered("speculative", 0, (0.0, 0.0, 1.0, 5.0), 9),  # 4 s for 8 tokens
    answered("speculative", 1, (0.0, 2.0, 3.0, 4.0), 5),  # 1 s for 4 tokens
    answered("speculative", 2, (1.0, 5.0, 6.0, 6.0), 1),
]
THEIRS = [
    answered("baseline", 0, (0.0, 0.0, 2.0, 10.0), 9),  # 8 s for 8 tokens
    answered("baseline", 1, (0.0, 4.0, 5.0, 7.0), 7),  # 2 s for 6 tokens
    answered("baseline", 2, (1.0, 10.0, 12.0, 12.0), 1),
]
REQUESTS = pd.DataFrame([*OURS, *THEIRS])


def batch(
    number: int, started_s: float, rows: list[dict[str, object]], **shared: object
) -> list[dict[str, object]]:
    """Requests of one cycle share its times."""
    size = {"cycle": number, "started_s": started_s, "batch_size": len(rows)}
    return [row | size | shared for row in rows]


def prefill(place: int, **values: object) -> dict[str, object]:
    return cycle(request_id=place, is_prefill=True, **values)


FULL = {"t_draft_s": 0.2, "t_schedule_s": 0.01, "t_verify_s": 0.5, "t_accept_s": 0.04}
STEP = {"t_schedule_s": 0.02, "t_verify_s": 0.9, "t_accept_s": 0.03, "t_engine_s": 0.05}
CYCLES = pd.DataFrame(
    [
        # alone with its prompt; then two, with and without a prompt; the last one drains
        *batch(0, 0.0, [prefill(0)], has_prefill=True, t_verify_s=1.0, num_waiting=2),
        *batch(
            1, 2.0, [drafted(2, 2, request_id=0), prefill(1)], has_prefill=True, num_waiting=1,
            t_verify_s=1.5, t_draft_s=0.1,
        ),
        *batch(
            2, 4.0,
            [drafted(2, 1, True, request_id=0), drafted(4, 2, True, request_id=1)],
            t_engine_s=0.05, num_waiting=1, cpu_busy=0.5, **FULL,
        ),
        *batch(
            3, 4.8,
            [drafted(4, 4, request_id=0), drafted(3, 0, True, request_id=1)],
            t_engine_s=0.25, num_waiting=7, cpu_busy=0.9, **FULL | {"t_verify_s": 1.3},
        ),
        *batch(4, 6.6, [prefill(2)], has_prefill=True, t_verify_s=0.4, num_waiting=0),
    ]
    + [
        row | {"arm": "baseline"}
        for row in [
            *batch(0, 0.0, [prefill(0)], has_prefill=True, t_verify_s=2.0, num_waiting=2),
            *batch(1, 4.0, [cycle(request_id=0), prefill(1)], has_prefill=True, t_verify_s=3.0),
            *batch(2, 7.0, [cycle(request_id=0), cycle(request_id=1)], num_waiting=3, **STEP),
            *batch(
                3, 8.0, [cycle(request_id=0), cycle(request_id=1)], num_waiting=5,
                **STEP | {"t_verify_s": 1.9},
            ),
            *batch(4, 11.0, [prefill(2)], has_prefill=True, t_verify_s=1.0),
        ]
    ]
)  # fmt: skip


def sums(is_closed: bool, concurrency: int = 2) -> Sums:
    pooling = Pooling(4, concurrency, is_closed, slo=SLO)
    return collect_sums(CYCLES, REQUESTS, pooling).total()


def test_waits_count_from_the_schedule_and_times_per_token_from_the_first_token() -> None:
    ours, theirs = pd.DataFrame(OURS), pd.DataFrame(THEIRS)
    assert ttft_s(ours).tolist() == [1.0, 3.0, 5.0]
    assert e2e_s(ours).tolist() == [5.0, 4.0, 5.0]
    assert tpot_s(ours).tolist() == [0.5, 0.25]
    assert user_rates(ours).tolist() == [2.0, 4.0, 0.0]
    assert ttft_s(theirs).tolist() == [2.0, 5.0, 11.0]
    assert tpot_s(theirs).tolist() == pytest.approx([1.0, 1 / 3])


def test_a_good_answer_is_judged_from_the_schedule() -> None:
    """The third of ours waited five seconds, four of them for a place."""
    assert meets(pd.DataFrame(OURS), SLO).tolist() == [True, True, False]
    assert meets(pd.DataFrame(THEIRS), SLO).tolist() == [True, False, False]
    assert meets(pd.DataFrame(OURS), Slo(tpot_s=0.45)).tolist() == [False, True, True]


def test_open_loop_ratios_of_sums() -> None:
    """12 tokens in 5 s against 14 in 10 s; a mean of 14/3 against 28/3 s from end to end."""
    total = sums(is_closed=False)
    assert (total.decode_tokens, total.decode_s) == (12, 5)
    assert (total.baseline_decode_tokens, total.baseline_decode_s) == (14, 10)
    assert speed.speedup_open(total) == pytest.approx((10 / 14) / (5 / 12))
    assert speed.speedup_e2e(total) == pytest.approx(2.0)


def test_each_arms_users_and_its_good_answers() -> None:
    """Spans: ours 7 s, theirs 12 s."""
    total = sums(is_closed=False)
    assert speed.tok_s_per_user(total) == pytest.approx((2 + 4) / 2)
    assert speed.baseline_tok_s_per_user(total) == pytest.approx((1 + 3) / 2)
    assert speed.goodput_req_s(total) == pytest.approx(2 / 7)
    assert speed.baseline_goodput_req_s(total) == pytest.approx(1 / 12)
    assert speed.slo_attainment(total) == pytest.approx(2 / 3)
    assert speed.baseline_slo_attainment(total) == pytest.approx(1 / 3)


def test_attainment_counts_who_was_turned_away() -> None:
    rows = [*OURS, OURS[0] | {"request_id": 9, "prompt_id": "p9", "finish_reason": "rejected"}]
    pooling = Pooling(4, 2, slo=SLO)
    total = collect_sums(CYCLES, pd.DataFrame([*rows, *THEIRS]), pooling).total()
    assert speed.slo_attainment(total) == pytest.approx(2 / 4)


def test_a_closed_loop_divides_tokens_and_times_of_full_batches() -> None:
    """Ours: 2 + 3 tokens in 0.8 s, 5 + 1 in 1.8 s. Theirs: 4 in 1 and 2 s. A full batch in which
    the first prompts are still being read belongs to the ramp-up.
    """
    total = sums(is_closed=True)
    assert (total.tokens, total.time_s) == pytest.approx((11, 2.6))
    assert (total.baseline_tokens, total.baseline_time_s) == pytest.approx((4, 3.0))
    assert speed.throughput_tok_s(total) == pytest.approx(11 / 2.6)
    assert speed.baseline_tok_s(total) == pytest.approx(4 / 3)
    assert speed.speedup_closed(total) == pytest.approx(33 / 10.4)


def test_costs_are_those_of_full_batches_without_a_prompt() -> None:
    """Drafts were 4 at the longest in two cycles; a step of theirs takes 1 and 2 s."""
    total = sums(is_closed=True)
    assert costs.baseline_step_s(total) == pytest.approx(1.5)
    assert costs.cycle_s(total) == pytest.approx((0.8 + 1.8) / 2)
    assert costs.draft_cost_ratio(total, 4) == pytest.approx(0.2 / (4 * 1.5))
    wanted = {"t_draft_s": 0.2, "t_schedule_s": 0.01, "t_verify_s": 0.9, "t_accept_s": 0.04}
    assert costs.stage_times_s(total) == pytest.approx(wanted | {"t_engine_s": 0.15})


def test_shares_of_drafts_by_what_was_decided() -> None:
    """Verified 2 + 2 + 4 + 4 + 3, accepted 2 + 1 + 2 + 4 + 0, refused three times, in 5 cycles."""
    total = sums(is_closed=True)
    assert acceptance.accepted_length(total) == pytest.approx(1 + 9 / 5)
    assert acceptance.acceptance_rate(total) == pytest.approx(9 / 15)
    assert acceptance.alpha(total) == pytest.approx(9 / 12)
    assert acceptance.verify_budget(total) == pytest.approx(1 + 15 / 5)


def test_waste_is_that_of_all_cycles() -> None:
    rows = [drafted(4, 1, True), drafted(2, 2, num_drafted=4, full_width=False)]
    total = total_of(rows, is_selective=True)
    assert acceptance.verified_waste(total) == pytest.approx(1 - 3 / 6)
    assert acceptance.acceptance_rate(total) == pytest.approx(1 / 4)


def test_every_column_of_a_point_holds_its_own_figure() -> None:
    context = SummaryContext(gamma=4, concurrency=2, slo=SLO, floor_step_s=0.75)
    row = summarise(CYCLES, REQUESTS, context).as_row()
    wanted = {
        "throughput_tok_s": 11 / 2.6,
        "baseline_tok_s": 4 / 3,
        "speedup": 33 / 10.4,
        "speedup_e2e": 2.0,
        "tok_s_per_user": 3.0,
        "baseline_tok_s_per_user": 2.0,
        "goodput_req_s": 2 / 7,
        "baseline_goodput_req_s": 1 / 12,
        "slo_attainment": 2 / 3,
        "baseline_slo_attainment": 1 / 3,
        "accepted_length": 2.8,
        "emitted_length": 14 / 5,
        "acceptance_rate": 0.6,
        "acceptance_rate_scheduled": 0.6,
        "alpha": 0.75,
        "alpha_scheduled": 0.75,
        "verified_waste": 0.4,
        "verify_budget": 4.0,
        "cycle_s": 1.3,
        "baseline_step_s": 1.5,
        "baseline_floor_ratio": 2.0,
        "draft_cost_ratio": 0.2 / 6,
        "t_draft_s": 0.2,
        "t_schedule_s": 0.01,
        "t_verify_s": 0.9,
        "t_accept_s": 0.04,
        "t_engine_s": 0.15,
        "ttft_p50_s": 3.0,
        "tpot_p50_s": 0.375,
        "e2e_p50_s": 5.0,
        "queue_max": 7.0,
        "baseline_queue_max": 5.0,
        "n_cycles": 5,
        "n_requests": 3,
    }
    assert {name: row[name] for name in wanted} == pytest.approx(wanted)


def test_percentiles_are_those_that_their_names_say() -> None:
    """Waits of 0 to 200 s, twice as many for an answer, three times as long per token."""
    rows = [
        request(
            request_id=i, prompt_id=f"p{i}", output_tokens=(1, 2), first_token_s=float(i),
            finished_s=4.0 * i,
        )
        for i in range(201)
    ]  # fmt: skip
    cycles = pd.DataFrame([drafted(4, 1, True), cycle(arm="baseline", cycle=1)])
    requests = pd.DataFrame([*rows, request(arm="baseline", prompt_id="p0")])
    row = summarise(cycles, requests, SummaryContext(gamma=4)).as_row()
    for name, scale in (("ttft", 1.0), ("tpot", 3.0), ("e2e", 4.0)):
        found = [row[f"{name}_p{percent}_s"] for percent in (50, 90, 99)]
        assert found == pytest.approx([scale * 100, scale * 180, scale * 198])


def test_the_gap_holds_every_stage_of_a_cycle() -> None:
    """In steps of 1.5 s: drafting 0.2, verifying 0.9, the rest 0.01 + 0.04 + 0.15."""
    total = sums(is_closed=True)
    stages = speedup_gap(CYCLES, total, 4, 3.0).stages
    assert stages[3:] == pytest.approx(
        [2.8 / (1 + 0.2 / 1.5), 2.8 / (1.1 / 1.5), 2.8 / (1.3 / 1.5), 3.0]
    )
    lengths = [2, 2, 4, 4, 3]
    expected = [sum(0.75**k for k in range(length + 1)) for length in lengths]
    cost = 1 + 4 * (0.2 / 6)
    assert stages[1] == pytest.approx(np.mean(expected) / cost)


def test_a_queue_is_weighted_by_how_long_it_was_so_in_either_arm() -> None:
    """Ours: 1.0 s of 2, 1.6 + 0.8 of 1, 1.8 of 7, 0.4 of 0; with a long last but one, 7.

    Theirs: 2 s of 2, 3 of 0, 1 of 3, 2 of 5, 1 of 0.
    """
    values = machine_values(CYCLES)
    assert (values["queue_p50"], values["queue_max"]) == (1, 7)
    assert values["cpu_busy"] == pytest.approx((0.8 * 0.5 + 1.8 * 0.9) / 2.6)
    short = CYCLES.assign(t_verify_s=CYCLES["t_verify_s"].where(CYCLES["num_waiting"] != 7, 90.0))
    assert machine_values(short)["queue_p50"] == 7
    assert machine_values(short)["baseline_queue_p50"] == values["baseline_queue_p50"] == 2


def test_a_queue_is_gone_when_its_turn_has_ended() -> None:
    """Ours ends at 7 s with nobody waiting; made to end with 7, it has none at 7.1 s either."""
    kept = CYCLES[~((CYCLES["arm"] == "speculative") & (CYCLES["cycle"] == 4))]
    curves = queue_curves(kept)
    times = np.array(curves["time_s"])
    ours = np.array(curves["speculative"])
    assert times[-1] == 12.0
    assert set(ours[times > 6.61]) == {0.0} and set(ours[(times > 4.9) & (times < 6.5)]) == {7.0}


def test_who_was_turned_away_and_who_never_came_are_told_apart() -> None:
    reasons = ["rejected", "rejected", "stopped", "not_sent"]
    rows = [request(finish_reason=reason, output_tokens=()) for reason in reasons]
    rows += [request(arm="baseline", finish_reason="not_sent", output_tokens=())] * 2
    found = unserved_values(pd.DataFrame([*rows, request(), request(arm="baseline")]))
    assert (found["n_unserved"], found["n_not_sent"]) == (3, 1)
    assert (found["baseline_n_unserved"], found["baseline_n_not_sent"]) == (0, 2)


def test_a_prompt_is_no_part_of_the_verify_budget_over_time() -> None:
    """Cycle 1 verified two drafts of one request, beside a prompt."""
    table = turn_timeline(CYCLES)
    ours = table[table["arm"] == "speculative"]
    budgets = ours["verify_budget"].tolist()
    assert budgets[1:4] == [3.0, 4.0, 4.5]
    assert np.isnan(budgets[0]) and np.isnan(budgets[4])
    assert ours["tok_s"].tolist() == pytest.approx([1.0, 4 / 1.6, 5 / 0.8, 6 / 1.8, 2.5])


@pytest.mark.parametrize(
    ("low", "high", "floor"), [(0.8, 1.0, 0.25), (0.9, 1.2, 0.2), (1.1, 1.3, 0.3)]
)
def test_a_floor_reaches_to_the_further_end(low: float, high: float, floor: float) -> None:
    assert NoiseFloor(Interval(1.0, low, high, 9), "").floor == pytest.approx(floor)


def test_a_prediction_pays_for_both_prompts_and_the_tokens_after_the_first() -> None:
    """41 tokens of 1 s after 5 s, against 7 s and 20 cycles of 3 s that give two tokens each."""
    profile = CostProfile(1.0, (1.0, 1.5), (0.0, 1.0), (0.0, 0.5), 5.0, 2.0)
    context = SummaryContext(
        gamma=1, profile=profile, model_survival=(1.0,), model_mean_output_tokens=41.0
    )
    cycles = pd.DataFrame([drafted(1, 1), cycle(arm="baseline", cycle=1)])
    requests = pd.DataFrame([request(), request(arm="baseline")])
    row = summarise(cycles, requests, context).as_row()
    assert row["speedup_model"] == pytest.approx(45 / (7 + 20 * 3))
