"""Ends, limits, records and timing of the loop."""

import itertools

import pytest
import torch

from dspark_bench.core.errors import UsageError
from dspark_bench.core.types import Request, SamplingParams
from dspark_bench.engine.acceptance import ExactAcceptance
from dspark_bench.engine.agreement import measure_agreement
from dspark_bench.engine.commit import _outcome
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.engine.profile import profile_costs
from dspark_bench.engine.state import ActiveRequest
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.schedulers.fixed import FixedScheduler
from tests import tiny


def judge(tokens: tuple[int, ...], limit: int = 100, rejected: bool = False, verify_len: int = 4):
    request = Request(0, "p", "d", (1, 2, 3), limit)
    state = ActiveRequest(request, 0, 0, 0, 0.0, 0.0, context_len=3, anchor=9)
    return _outcome(state, tokens, verify_len, rejected, 1 + verify_len, (tiny.EOS,)), state


def test_a_plain_cycle_commits_anchor_and_accepted_drafts() -> None:
    outcome, state = judge((5, 6, 7), rejected=True)
    assert (outcome.num_accepted, outcome.verify_len, outcome.is_rejected) == (2, 4, True)
    assert outcome.emitted == (5, 6, 7) and outcome.num_cut == 0 and outcome.reason is None
    assert (state.context_len, state.anchor, state.output) == (6, 7, [5, 6, 7])


def test_an_accepted_end_clips_the_cycle_and_is_no_rejection() -> None:
    outcome, _ = judge((5, tiny.EOS, 7, 8), rejected=True)
    assert (outcome.num_accepted, outcome.verify_len, outcome.is_rejected) == (2, 2, False)
    assert outcome.emitted == (5, tiny.EOS)
    assert (outcome.num_cut, outcome.reason) == (2, "eos")


def test_an_end_as_bonus_clips_nothing() -> None:
    outcome, _ = judge((5, 6, tiny.EOS), rejected=True)
    assert (outcome.num_accepted, outcome.verify_len, outcome.is_rejected) == (2, 4, True)
    assert (outcome.emitted, outcome.reason) == ((5, 6, tiny.EOS), "eos")


def test_the_length_limit_cuts_what_is_emitted_but_not_the_counts() -> None:
    outcome, _ = judge((5, 6, 7), limit=2, rejected=True)
    assert (outcome.num_accepted, outcome.verify_len, outcome.is_rejected) == (2, 4, True)
    assert (outcome.emitted, outcome.num_cut, outcome.reason) == ((5, 6), 1, "length")


def test_an_end_that_is_the_last_allowed_token_is_an_end() -> None:
    for tokens, limit in (((5, 6, tiny.EOS), 3), ((5, tiny.EOS, 7), 2)):
        outcome, state = judge(tokens, limit)
        assert (state.num_remaining, outcome.emitted[-1], outcome.reason) == (0, tiny.EOS, "eos")
    outcome, _ = judge((5, 6, tiny.EOS), limit=2)
    assert (outcome.emitted, outcome.reason) == ((5, 6), "length")


def test_every_request_ends_at_its_limit_or_at_an_end() -> None:
    result = tiny.serve(tiny.requests(9, 30), tiny.drafter("semi_ar_rnn"), 5, 4)
    for record in result.requests:
        if record.finish_reason == "length":
            assert len(record.output_tokens) == 30
        else:
            assert record.output_tokens[-1] == tiny.EOS
        assert tiny.EOS not in record.output_tokens[:-1]


def test_records_add_up_to_what_was_emitted() -> None:
    result = tiny.serve(tiny.requests(6), tiny.drafter("ar"), 4, 3)
    for record in result.requests:
        mine = [c for c in result.cycles if c.request_id == record.request_id]
        assert sum(c.num_emitted for c in mine) == len(record.output_tokens)
        assert [c.is_prefill for c in mine] == [True] + [False] * (len(mine) - 1)
        for cycle in mine[1:]:
            assert 0 <= cycle.num_accepted <= cycle.verify_len <= cycle.num_drafted == 4
            assert cycle.full_width and len(cycle.expected_acceptance) == cycle.verify_len
            is_short = cycle.num_accepted < cycle.verify_len
            assert cycle.is_rejected == is_short


def test_parts_of_the_cycles_tile_the_run() -> None:
    ticks = itertools.count()
    engine = Engine(
        tiny.target(),
        tiny.drafter("parallel"),
        FixedScheduler(),
        ExactAcceptance(),
        SamplingParams(),
        4,
        EngineConfig(2, 128),
        lambda: float(next(ticks)),
    )
    result = engine.run(tiny.requests(4), ClosedLoad(2), 0)
    by_cycle = {cycle.cycle: cycle for cycle in result.cycles}
    assert sum(cycle.duration_s for cycle in by_cycle.values()) == result.wall_s
    assert all(
        min(c.t_draft_s, c.t_schedule_s, c.t_verify_s, c.t_accept_s, c.t_engine_s) > 0
        for c in by_cycle.values()
    )


def test_a_prompt_that_cannot_fit_is_refused_before_anything_runs() -> None:
    with pytest.raises(UsageError, match=r"needs 135 cache positions .*a row has 128"):
        tiny.serve([Request(0, "long", "d", tuple([1] * 100), 30)], tiny.drafter("ar"), 4)


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(UsageError, match="prompt void is empty"):
        tiny.serve([Request(0, "void", "d", (), 5)], None)


def test_closed_load_refuses_nobody() -> None:
    with pytest.raises(UsageError, match=r"load\.concurrency is 0; valid: 1 or more"):
        ClosedLoad(0)


def test_agreement_is_a_probability_per_position_and_prefix_dependent() -> None:
    requests = tiny.requests(5, 30)
    outputs = tiny.outputs(tiny.serve(requests, None))
    sequences = [(r, outputs[r.request_id]) for r in requests]
    sequences.append((requests[0], (1, 2)))  # too short for a block of 6
    overlaps, anchors = measure_agreement(
        tiny.target(), tiny.drafter("semi_ar_vanilla"), sequences, 6, SamplingParams()
    )
    assert anchors[-1] == 0 and (anchors[:-1] > 0).any()
    curve = overlaps.sum(0) / anchors.sum()
    assert curve.shape == (6,) and ((curve > 0) & (curve < 1)).all()


def test_agreement_equals_expected_acceptance_of_the_training_forward() -> None:
    """The same quantity by the trainable module, from the same anchors."""
    from dspark_bench.core.sampling import overlap
    from dspark_bench.engine.teacher_forcing import STRIDE
    from dspark_bench.training.drafter_batch import hang_blocks

    request = Request(0, "p", "d", tuple(range(1, 12)), 30)
    output = tuple(tiny.serve([request], None, seed=4).requests[0].output_tokens)
    tokens = torch.tensor([[*request.prompt_tokens, *output]])
    anchors = torch.arange(len(request.prompt_tokens), tokens.shape[1] - 5, STRIDE)
    gamma = 5
    for name in tiny.DRAFTERS:
        overlaps, num_anchors = measure_agreement(
            tiny.target(), tiny.drafter(name), [(request, output)], gamma, SamplingParams()
        )
        model = tiny.trainable(name)
        model.module.load_state_dict(_stored(name))
        batch = hang_blocks(
            tiny.frozen(), tokens, model.feature_layers, anchors.unsqueeze(0), gamma, (), 4.0
        )
        with torch.no_grad():
            probs = torch.softmax(model.scores(batch).logits, -1)
        expected = overlap(batch.target_probs, probs)[0].mean(0)
        assert num_anchors.tolist() == [anchors.shape[0]]
        curve = torch.tensor(overlaps[0] / num_anchors[0], dtype=expected.dtype)
        assert torch.allclose(curve, expected, atol=1e-4), name


def _stored(name: str) -> dict[str, torch.Tensor]:
    from dspark_bench.models.checkpoint import read_tensors

    return read_tensors(tiny.drafter_dir(name), torch.float32, tiny.CPU)


def test_profile_measures_every_asked_width() -> None:
    drafter = tiny.drafter("parallel")
    costs = profile_costs(
        lambda gamma, requests, seed: tiny.serve(
            list(requests), drafter if gamma else None, max(1, gamma), seed=seed
        ),
        tiny.requests(2),
        (1, 4),
        0,
    )
    assert costs.step_s > 0 and costs.prefill_s > 0 and costs.draft_prefill_s > 0
    measured = [k for k, value in enumerate(costs.verify_s) if value == value]
    assert measured == [0, 1, 4]
    assert costs.draft_s[4] > 0 and costs.overhead_s[4] > 0
