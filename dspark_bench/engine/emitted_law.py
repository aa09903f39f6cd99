"""Whether emitted tokens follow the target's law, judged at every emitted position.

Speculation is exact if each emitted token, given everything before it, is a draw from the target's
own distribution. So for any set of tokens C, [y in C] - P(C | prefix) sums to a martingale: its
expectation is zero whatever the drafter, the scheduler and the lengths of the texts. The sums are
taken here for a few sets C and for a few groups of positions. No position is chosen because a text
ended there: an end-of-text token is a token like any other, and a set of its own.

The bound is Freedman's (1975, theorem 1.6) for martingales with steps of at most 1 and total
conditional variance V: P(|S| >= x) <= 2 exp(-V h(x / V)), h(u) = (1 + u) log(1 + u) - u. It needs
no normal approximation, so rare tokens are judged fairly too.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dspark_bench.core.sampling import token_probs
from dspark_bench.core.types import Request, SamplingParams
from dspark_bench.engine.exactness import CheckResult
from dspark_bench.engine.long_pass import run_along
from dspark_bench.engine.teacher_forcing import Sequences
from dspark_bench.models.target import Target

FALSE_ALARM = 5e-5
"""Share of exact configurations that this check may fail at most."""
NUM_CLASSES = 8
END_OF_TEXT = 0
FIRST_POSITIONS = 3
_RANKS = 16
_RANK_NAMES = ("first choice", "second", "third or fourth", "fifth to eighth", "ninth to 16th")
_REST, _OUTSIDE = "beyond the 16th", "outside top-k and top-p"
_NUM_RANKS = len(_RANK_NAMES) + 2
_SLACK = {torch.float32: 2e-4, torch.float64: 2e-4}
_COARSE_SLACK = 2e-3
"""Probability that a set may gain or lose by rounding alone, for each position: a token at the edge
of top-p falls in or out when logits move in their last digits. Such a token is an event like any
other: it adds this much to the expected sum and to the variance, without which the first one would
fail a set that should be empty."""


@dataclass(slots=True)
class _Sums:
    """Sums of one group of positions. excess, variance [sets]: of [y in C] - P(C), and of the
    conditional variances; seen [sets]; count: positions.
    """

    excess: Tensor
    variance: Tensor
    seen: Tensor
    count: int = 0

    @classmethod
    def empty(cls, num_sets: int) -> "_Sums":
        zeros = torch.zeros(num_sets, dtype=torch.float64)
        return cls(zeros, zeros.clone(), zeros.clone())

    def add(self, mass: Tensor, chosen: Tensor) -> None:
        """mass [n, sets]: P(C); chosen [n]: the set of the token that was emitted."""
        if not len(chosen):
            return
        hit = torch.nn.functional.one_hot(chosen, mass.shape[1]).double()
        self.excess += (hit - mass).sum(0)
        self.variance += (mass * (1 - mass)).sum(0)
        self.seen += hit.sum(0)
        self.count += len(chosen)


@dataclass(slots=True)
class _Tally:
    """All groups of positions, in three families: all positions at once, single ones, and those
    after the same two classes.
    """

    everywhere: dict[str, _Sums] = field(default_factory=dict)
    single: dict[str, _Sums] = field(default_factory=dict)
    crossed: dict[str, _Sums] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Finding:
    """The most surprising sum: p, corrected for how many were looked at."""

    p_value: float
    detail: str


def emitted_law_check(
    target: Target, texts: Sequences, sampling: SamplingParams, gamma: int
) -> CheckResult:
    """Compare sampled texts with the target's law, teacher-forced along each of them.

    texts: requests with what was emitted for them, of whatever drafter, scheduler and batch.
    gamma: the last gamma + 1 positions before max_new_tokens are looked at one by one.
    """
    tally = _Tally()
    with torch.inference_mode():
        for request, tokens in texts:
            if tokens:
                _add_text(tally, target, request, tokens, sampling, gamma)
    count = sum(len(tokens) for _, tokens in texts)
    slack = _SLACK.get(getattr(target, "dtype", torch.float32), _COARSE_SLACK)
    found = min(_findings(tally, slack), key=lambda item: item.p_value, default=None)
    if found is None:
        return CheckResult("emitted law", False, "nothing was emitted")
    detail = f"{found.detail}; p={found.p_value:.2g} corrected, n={count} tokens of {len(texts)} "
    detail += f"texts; passes at p >= {FALSE_ALARM:g}"
    return CheckResult("emitted law", found.p_value >= FALSE_ALARM, detail)


def token_class(token_ids: Tensor, end_of_text: tuple[int, ...]) -> Tensor:
    """Class 0..7 of each token id: 0 for end-of-text, the others by their number alone."""
    classes = 1 + token_ids % (NUM_CLASSES - 1)
    for token in end_of_text:
        classes = torch.where(token_ids == token, END_OF_TEXT, classes)
    return classes


def tail_bound(excess: float, variance: float) -> float:
    """Freedman's bound on the chance of a sum at least this far from 0, at most 1."""
    size = abs(excess)
    if size <= 0:
        return 1.0
    if variance <= 0:
        return 0.0
    ratio = size / variance
    exponent = variance * ((1 + ratio) * math.log1p(ratio) - ratio)
    return min(1.0, 2 * math.exp(-exponent))


def _add_text(
    tally: _Tally,
    target: Target,
    request: Request,
    output: tuple[int, ...],
    sampling: SamplingParams,
    gamma: int,
) -> None:
    probs = target_law(target, request, output, sampling)
    tokens = torch.tensor(output, device=probs.device)
    ends = target.config.eos_token_ids
    everything = torch.tensor([*request.prompt_tokens, *output], device=probs.device)
    classes = token_class(everything, ends)
    vocabulary = token_class(torch.arange(probs.shape[1], device=probs.device), ends)
    mass = torch.zeros(len(output), NUM_CLASSES, dtype=torch.float64, device=probs.device)
    mass.index_add_(1, vocabulary, probs.double())
    own = classes[len(request.prompt_tokens) :]
    rank_mass, ranks = _ranks(probs, tokens)
    mass, own, rank_mass, ranks = mass.cpu(), own.cpu(), rank_mass.cpu(), ranks.cpu()
    _group(tally.everywhere, "class, everywhere", NUM_CLASSES).add(mass, own)
    _group(tally.everywhere, "rank, everywhere", _NUM_RANKS).add(rank_mass, ranks)
    for name, place in _places(len(output), request.max_new_tokens, gamma):
        rows = slice(place, place + 1)
        _group(tally.single, f"class, {name}", NUM_CLASSES).add(mass[rows], own[rows])
        _group(tally.single, f"rank, {name}", _NUM_RANKS).add(rank_mass[rows], ranks[rows])
    before = _classes_before(classes.cpu(), len(request.prompt_tokens))
    for pair in before.unique().tolist():
        rows = before == pair
        name = f"class, after classes {pair // NUM_CLASSES} and {pair % NUM_CLASSES}"
        _group(tally.crossed, name, NUM_CLASSES).add(mass[rows], own[rows])


def target_law(
    target: Target, request: Request, output: tuple[int, ...], sampling: SamplingParams
) -> Tensor:
    """The law [n, V] that each of n emitted tokens should have been drawn from."""
    tokens = torch.tensor([*request.prompt_tokens, *output[:-1]], device=target.device)
    first = len(request.prompt_tokens) - 1
    return token_probs(run_along(target, tokens, first).logits, sampling)


def _ranks(probs: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """How likely the emitted token was among all: mass [n, ranks], and each token's rank set."""
    best = probs.topk(min(_RANKS, probs.shape[1]), dim=-1)
    order = torch.arange(best.values.shape[1], device=probs.device)
    bins = (order + 1).double().log2().ceil().long()
    mass = torch.zeros(len(tokens), _NUM_RANKS, dtype=torch.float64, device=probs.device)
    mass.index_add_(1, bins, best.values.double())
    rest, outside = len(_RANK_NAMES), len(_RANK_NAMES) + 1
    mass[:, rest] = (1 - mass[:, :rest].sum(1)).clamp(min=0)
    is_it = best.indices == tokens.unsqueeze(1)
    ranks = torch.where(is_it.any(1), bins[is_it.int().argmax(1)], rest)
    own = probs.gather(1, tokens.unsqueeze(1)).squeeze(1)
    return mass, torch.where(own > 0, ranks, outside)


def _places(length: int, most: int, gamma: int) -> Iterator[tuple[str, int]]:
    """Single positions that are looked at apart, by their number alone; most: max_new_tokens."""
    for place in range(min(FIRST_POSITIONS, length)):
        yield f"as token {place + 1}", place
    for left in range(gamma + 1):
        place = most - 1 - left
        if FIRST_POSITIONS <= place < length:
            yield f"{left} before the limit", place


def _classes_before(classes: Tensor, num_prompt: int) -> Tensor:
    """For each emitted token, the classes of the two tokens before it as one number."""
    padded = torch.cat([classes.new_zeros(2), classes])
    first, second = padded[num_prompt:-2], padded[num_prompt + 1 : -1]
    return first * NUM_CLASSES + second


def _group(groups: dict[str, _Sums], name: str, num_sets: int) -> _Sums:
    if name not in groups:
        groups[name] = _Sums.empty(num_sets)
    return groups[name]


def _findings(tally: _Tally, slack: float) -> Iterator[_Finding]:
    """Every sum with its p. The families share the error evenly, and their sums each share."""
    families = (tally.everywhere, tally.single, tally.crossed)
    for family in families:
        num_sums = sum(len(sums.excess) for sums in family.values())
        for name, sums in family.items():
            for index in range(len(sums.excess)):
                excess = float(sums.excess[index])
                rounding = slack * sums.count
                beyond = max(0.0, abs(excess) - rounding)
                variance = float(sums.variance[index]) + rounding
                p_value = tail_bound(beyond, variance) * len(families) * num_sums
                kind, _, where = name.partition(", ")
                seen = float(sums.seen[index])
                said = f"{_set_name(kind, index)} {where}: {seen:.0f}, {seen - excess:.1f} expected"
                yield _Finding(min(1.0, p_value), said)


def _set_name(kind: str, index: int) -> str:
    if kind == "rank":
        return (*_RANK_NAMES, _REST, _OUTSIDE)[index]
    return "end-of-text" if index == END_OF_TEXT else f"token class {index}"
