"""`acceptance=match`: the target draws, and a draft stands if it is what was drawn.

At the anchor one token is drawn from the target's distribution with that depth's noise. If a child
carries it, the walk goes on from there; else it is the bonus token. What is emitted never depends
on the drafts, so any chain, any tree and any scheduler leaves the target's law as it is. It needs
no draft probabilities, and accepts a node with the target's mass on its children (JetSpec, DDTree).
Keeps no state.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from dspark_bench.core.random_streams import CycleNoise, Floats
from dspark_bench.core.sampling import Verdict, sample, token_probs
from dspark_bench.core.tree import children_of, matched_path, node_depths
from dspark_bench.core.types import Findings, Proposal, Recorded, SamplingParams
from dspark_bench.engine.acceptance import ExactDecision
from dspark_bench.engine.verdicts import bonus_only, join


class MatchAcceptance:
    """Judges chains and trees alike; requests without drafts just get their next token."""

    follows_record = False
    is_simulated = False
    judges_trees = True

    def decide(
        self,
        logits: Tensor,
        proposal: Proposal | None,
        verify_lens: Sequence[int],
        noise: CycleNoise,
        sampling: SamplingParams,
        recorded: Recorded | None = None,
    ) -> ExactDecision:
        """Judge one cycle.

        logits [N, V]: each request's 1 + verify_len rows in order (a tree's nodes in theirs); a
        proposal covers the first D requests. recorded: unused.
        """
        shapes = verified_parents(proposal, verify_lens)
        probs = None if sampling.is_greedy else token_probs(logits, sampling)
        if probs is None:
            drawn = logits.argmax(-1).tolist()
        else:
            uniform = _depth_noise(shapes, noise, len(verify_lens))
            drawn = sample(probs, torch.from_numpy(uniform).to(probs.device)).tolist()
        verdict = walk(drawn, proposal, shapes)
        return ExactDecision(
            verdict, lambda: walk_findings(logits, probs, proposal, verify_lens, verdict)
        )


def verified_parents(
    proposal: Proposal | None, verify_lens: Sequence[int]
) -> list[tuple[int, ...]]:
    """Parents of each drafted request's verified nodes; a chain's are the nodes before them."""
    if proposal is None:
        return []
    lens = verify_lens[: proposal.token_ids.shape[0]]
    if proposal.parents is None:
        return [tuple(range(-1, length - 1)) for length in lens]
    return [own[:length] for own, length in zip(proposal.parents, lens, strict=True)]


def _depth_noise(shapes: Sequence[tuple[int, ...]], noise: CycleNoise, num_requests: int) -> Floats:
    """A number for each row of the logits: that of its depth, and a request's own."""
    found: list[float] = []
    for place, parents in enumerate(shapes):
        by_depth = [*noise.accept[place], noise.emit[place]]
        found.append(by_depth[0])
        found.extend(by_depth[1 + depth] for depth in node_depths(parents))
    found.extend(noise.emit[len(shapes) : num_requests])
    return torch.tensor(found, dtype=torch.float64).numpy()


def walk(
    drawn: Sequence[int], proposal: Proposal | None, shapes: Sequence[tuple[int, ...]]
) -> Verdict:
    """Go down while a child carries what was drawn [N] at the node. shapes: `verified_parents`."""
    if proposal is None:
        return bonus_only(list(drawn))
    tokens = proposal.token_ids.tolist()
    paths, refused, bonus = [], [], []
    start = 0
    for own, parents in zip(tokens, shapes, strict=True):
        rows = drawn[start : start + 1 + len(parents)]
        path, is_refused = matched_path(parents, own, rows)
        paths.append(path)
        refused.append(is_refused)
        bonus.append(rows[1 + path[-1]] if path else rows[0])
        start += len(rows)
    drafted = Verdict([len(path) for path in paths], refused, bonus)
    verdict = join(drafted, bonus_only(list(drawn[start:])))
    is_tree = proposal.parents is not None
    return Verdict(
        verdict.num_accepted, verdict.is_rejected, verdict.bonus, paths if is_tree else None
    )


def walk_findings(
    logits: Tensor,
    probs: Tensor | None,
    proposal: Proposal | None,
    verify_lens: Sequence[int],
    verdict: Verdict,
) -> Findings:
    """Margins where greedy (probs None), else what the children of each visited node are worth."""
    if probs is None:
        return _margins(logits, verdict, verify_lens)
    shapes = verified_parents(proposal, verify_lens)
    return Findings(_child_mass(probs, proposal, shapes, verdict))


def _visited_rows(verdict: Verdict, verify_lens: Sequence[int]) -> list[list[int]]:
    """Rows of the logits behind each request's emitted tokens, from the anchor's on."""
    found, start = [], 0
    for place, length in enumerate(verify_lens):
        path: Sequence[int] = range(verdict.num_accepted[place])
        if verdict.paths is not None and place < len(verdict.paths):
            path = verdict.paths[place]
        found.append([start, *(start + 1 + node for node in path)])
        start += 1 + length
    return found


def _margins(logits: Tensor, verdict: Verdict, verify_lens: Sequence[int]) -> Findings:
    """The two largest logits behind every emitted token; the last one's fill the table."""
    rows = _visited_rows(verdict, verify_lens)
    width = max(map(len, rows))
    index = torch.tensor([[*own, *own[-1:] * (width - len(own))] for own in rows])
    visited = logits[index.to(logits.device)]
    top = visited.topk(2, dim=-1).values
    return Findings(margins=top[..., 0] - top[..., 1], largest=top[..., 0], best=visited.argmax(-1))


def _child_mass(
    probs: Tensor,
    proposal: Proposal | None,
    shapes: Sequence[tuple[int, ...]],
    verdict: Verdict,
) -> Tensor | None:
    """Expected acceptance [D, K]: the target's mass on the children of each visited node.

    A chain says what its next token is worth at every verified slot, visited or not.
    """
    if proposal is None:
        return None
    tokens = proposal.token_ids.tolist()
    rows: list[int] = []
    columns: list[int] = []
    places: list[int] = []
    lens = [len(parents) for parents in shapes]
    if proposal.parents is None:
        verdict = replace(verdict, num_accepted=lens)
    width = 1 + max(verdict.num_accepted[: len(shapes)])
    visited = _visited_rows(verdict, lens)
    for place, (parents, own) in enumerate(zip(shapes, visited, strict=True)):
        children = children_of(parents)
        for depth, row in enumerate(own):
            carried = [tokens[place][child] for child in children.get(row - own[0] - 1, ())]
            for token in dict.fromkeys(carried):
                rows.append(row)
                columns.append(token)
                places.append(place * width + depth)
    table = torch.zeros(len(shapes) * width, device=probs.device)
    where = torch.tensor([rows, columns, places], dtype=torch.int64, device=probs.device)
    table.index_add_(0, where[2], probs[where[0], where[1]])
    return table.view(len(shapes), width)
