"""Top-p without sorting the vocabulary: likely tokens are selected, and only they are sorted.

Most rows are decided by their 64 likeliest tokens. The others go on alone, each with the tokens
above a threshold of its own, so that what a row keeps never depends on its neighbours. Called by
`sampling`. Source: nucleus sampling, Holtzman et al. 2020. Letters: N rows, V vocabulary, S
selected tokens.
"""

import torch
from torch import Tensor

_NUM_LIKELIEST = 64
_WORTHWHILE_SHARE = 4
"""A selection of more than a fourth of the vocabulary saves nothing."""
_NUM_HALVINGS = 6
_EXTRA_SHARE = 1 / 16
"""Of the mass beyond top-p: what a threshold lets in besides, so that rounding does not matter."""


def keep_top_p(probs: Tensor, top_p: float, likeliest: Tensor | None = None) -> Tensor:
    """Keep the smallest set of likeliest tokens whose mass reaches `top_p`; renormalise.

    probs [..., V] fp32, top_p below 1; likeliest [..., S]: all tokens that have any mass, where
    that is known. A token is kept if the mass before it is below `top_p`; among equal ones the
    lower index comes first. Every row gets the bits that sorting it whole would give.
    """
    num_tokens = probs.shape[-1]
    rows = probs.reshape(-1, num_tokens)
    num_rows = rows.shape[0]
    # A lone row is summed beside an empty one: alone, threads would split its sum among them.
    filtered = rows.new_zeros(max(num_rows, 2), num_tokens)
    kept = filtered[:num_rows]
    if likeliest is not None:
        index = likeliest.reshape(num_rows, -1).sort(dim=-1).values
        kept.scatter_(-1, *_select(rows, index, top_p)[:2])
    elif num_tokens < _WORTHWHILE_SHARE * _NUM_LIKELIEST:
        kept.scatter_(-1, *_select(rows, None, top_p)[:2])
    else:
        _keep_selected(rows, top_p, kept)
    totals = filtered.sum(dim=-1, keepdim=True)
    return (kept / totals[:num_rows]).view(probs.shape)


def _keep_selected(rows: Tensor, top_p: float, kept: Tensor) -> None:
    """Write what each of rows [N, V] keeps to kept [N, V], which is zero."""
    top = rows.topk(_NUM_LIKELIEST, dim=-1)
    index = top.indices.sort(dim=-1).values
    tokens, masses, is_decided = _select(rows, index, top_p)
    kept.scatter_(-1, tokens, masses.masked_fill_(~is_decided.unsqueeze(-1), 0.0))
    waiting = (~is_decided).nonzero().flatten()
    if waiting.numel() == 0:
        return
    thresholds = _thresholds(rows[waiting], top.values[waiting, -1:], top_p)
    for place, is_above in zip(waiting.tolist(), rows[waiting] >= thresholds, strict=True):
        row, own = rows[place : place + 1], kept[place]
        index = is_above.nonzero().view(1, -1)
        tokens, masses, is_decided = _select(row, index, top_p)
        if not is_decided.item():
            tokens, masses, _ = _select(row, None, top_p)
        own.scatter_(0, tokens[0], masses[0])


def _thresholds(rows: Tensor, highest: Tensor, top_p: float) -> Tensor:
    """[N, 1] for rows [N, V]: what is at least as likely has a little more mass than `top_p`.

    highest [N, 1]: known to be too high or too close. Found by halving a range of logarithms.
    """
    lowest = torch.full_like(highest, (1 - top_p) / (2 * rows.shape[-1]))
    goal = top_p + (1 - top_p) * _EXTRA_SHARE
    for _ in range(_NUM_HALVINGS):
        middle = (lowest * highest).sqrt()
        is_enough = (rows * (rows >= middle)).sum(dim=-1, keepdim=True) >= goal
        lowest = torch.where(is_enough, middle, lowest)
        highest = torch.where(is_enough, highest, middle)
    return lowest


def _select(rows: Tensor, index: Tensor | None, top_p: float) -> tuple[Tensor, Tensor, Tensor]:
    """Keep among the tokens index [N, S] of rows [N, V], ascending, which are the S likeliest.

    index None: all of V. Returns the tokens from the likeliest down [N, S], their masses [N, S], 0
    where they are not kept, and whether that settles the row [N]. It does if no token as likely as
    the last one is kept: the mass before a token, a rounded sum less its falling last term, never
    falls from one token to the next. Rows with NaN keep nothing, and are NaN when renormalised.
    """
    candidates = rows if index is None else rows.gather(-1, index)
    ordered, order = candidates.sort(dim=-1, descending=True, stable=True)
    tokens = order if index is None else index.gather(-1, order)
    is_kept = ordered.cumsum(dim=-1) - ordered < top_p
    masses = torch.where(is_kept, ordered, torch.zeros_like(ordered))
    last = ordered[:, -1:]
    has_kept_tie = (is_kept & (ordered == last) & (last > 0)).any(dim=-1)
    return tokens, masses, ~has_kept_tie
