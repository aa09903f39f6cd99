"""Top-p by selection, against the definition: each row sorted whole. Bits are compared."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dspark_bench.core import nucleus
from dspark_bench.core.sampling import token_probs
from dspark_bench.core.types import SamplingParams
from dspark_bench.evidence.bench_sampling import sorted_probs

SIZES = (1, 5, 63, 65, 256, 300, 2_048, 20_000)
TOP_P = (1e-9, 0.1, 0.5, 0.9, 0.95, 0.999, 1 - 1e-6)
INF = float("inf")


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def logits(seed: int, num_rows: int, num_tokens: int, spread: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return spread * torch.randn(num_rows, num_tokens, generator=generator)


def agree(table: torch.Tensor, params: SamplingParams) -> None:
    assert torch.equal(token_probs(table, params), sorted_probs(table, params))


def test_the_definition_by_hand() -> None:
    table = torch.tensor([[0.25, 0.5, 0.125, 0.125]]).log()
    found = sorted_probs(table, SamplingParams(1.0, top_p=0.8))
    assert torch.allclose(found, torch.tensor([[2 / 7, 4 / 7, 1 / 7, 0]]))


@given(
    seed=st.integers(0, 2**31),
    num_rows=st.sampled_from((1, 2, 7)),
    num_tokens=st.sampled_from(SIZES),
    spread=st.sampled_from((0.0, 0.3, 2.0, 6.0, 60.0)),
    top_k=st.sampled_from((0, 0, 1, 50, 200)),
    top_p=st.sampled_from(TOP_P),
    grain=st.sampled_from((0.0, 0.0, 0.5, 3.0)),
    num_barred=st.integers(0, 300),
)
@settings(max_examples=300, deadline=None)
def test_any_table_gets_the_bits_of_the_definition(
    seed: int,
    num_rows: int,
    num_tokens: int,
    spread: float,
    top_k: int,
    top_p: float,
    grain: float,
    num_barred: int,
) -> None:
    """grain: logits rounded to multiples of it, so that many are equal; barred tokens: -inf."""
    table = logits(seed, num_rows, num_tokens, spread)
    if grain > 0:
        table = (table / grain).round() * grain
    generator = torch.Generator().manual_seed(seed + 1)
    barred = torch.randperm(num_tokens, generator=generator)[: min(num_barred, num_tokens - 1)]
    table[0, barred] = -INF
    agree(table, SamplingParams(1.0, top_k, top_p))


@pytest.mark.parametrize("top_p", TOP_P)
def test_ties_at_every_edge(top_p: float) -> None:
    """Runs of equal tokens across the 64th, across the threshold, and over all of the row."""
    steps = torch.arange(2_000)
    for length in (1, 3, 60, 64, 65, 100, 700, 2_000):
        agree(-0.2 * (steps // length).unsqueeze(0), SamplingParams(1.0, 0, top_p))
        agree(-0.2 * (steps.flip(0) // length).unsqueeze(0), SamplingParams(1.0, 0, top_p))


def test_equal_tokens_are_taken_by_index() -> None:
    """100 of 400 equally likely tokens hold a quarter: those in front, wherever they lie."""
    table = torch.full((1, 1_000), -INF)
    table[0, 300:700] = 0.0
    found = token_probs(table, SamplingParams(1.0, top_p=0.25)).nonzero()[:, 1]
    assert found.tolist() == list(range(300, 400))


@pytest.mark.parametrize("top_p", TOP_P)
@pytest.mark.parametrize("top_k", [0, 50])
def test_sure_rows_and_rows_of_few_tokens(top_p: float, top_k: int) -> None:
    sure = torch.full((3, 2_048), -INF)
    sure[0, 7] = 0.0
    sure[1, 5:70] = 1.0
    sure[2, :3] = torch.tensor([0.0, 80.0, -80.0])
    agree(sure, SamplingParams(1.0, top_k, top_p))
    agree(1e4 * torch.eye(2_048)[:2], SamplingParams(1.0, top_k, top_p))


def test_a_tiny_nucleus_is_the_likeliest_token_and_the_whole_law_is_left_alone() -> None:
    table = logits(0, 4, 2_048, 2.0)
    tiny = token_probs(table, SamplingParams(1.0, top_p=1e-30))
    assert torch.equal(tiny, torch.nn.functional.one_hot(table.argmax(-1), 2_048).float())
    assert torch.equal(token_probs(table, SamplingParams(1.0, top_p=1.0)), table.softmax(-1))


def test_a_tail_below_the_rounding_of_the_mass() -> None:
    """Tokens that change the mass before them by less than it is rounded to."""
    for head in (0.5, 0.9, 0.95 - 2e-8, 0.95, 0.95 + 2e-8):
        probs = torch.full((1, 30_000), (1 - head) / 29_999 * 0.01)
        probs[0, 100] = head
        probs[0, 200:260] = (1 - head) * 0.99 / 60
        for top_p in (head, 0.95, 1 - 1e-7):
            agree(probs.log(), SamplingParams(1.0, 0, top_p))


def test_a_row_without_a_law_stays_without_and_spoils_no_other() -> None:
    table = logits(0, 3, 2_048, 2.0)
    table[1] = -INF
    params = SamplingParams(1.0, top_p=0.9)
    found = token_probs(table, params)
    assert found[1].isnan().all() and sorted_probs(table, params)[1].isnan().all()
    assert torch.equal(found[[0, 2]], sorted_probs(table, params)[[0, 2]])


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("top_k", [0, 50])
def test_a_row_gets_the_same_bits_alone_and_among_others(top_k: int) -> None:
    """Two threads and more than 32,768 tokens: where a lone sum would be split."""
    table = logits(0, 5, 49_152, 3.0)
    table[3] *= 0.2
    params = SamplingParams(0.8, top_k, 0.95)
    together = token_probs(table, params)
    for place, row in enumerate(table):
        assert torch.equal(token_probs(row.unsqueeze(0), params)[0], together[place])
        assert torch.equal(token_probs(row, params), together[place])


def test_a_threshold_that_lets_in_too_little_costs_time_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nucleus, "_thresholds", lambda rows, highest, top_p: highest)
    agree(logits(3, 4, 2_048, 0.3), SamplingParams(1.0, top_p=0.9))
