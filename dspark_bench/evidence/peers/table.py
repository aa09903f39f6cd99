"""The section of `peers.md` that is kept for a machine."""

from collections.abc import Iterable, Sequence
from typing import Final

from dspark_bench.evidence.peers.arms import OURS, RATIOS, Setting
from dspark_bench.evidence.peers.rounds import Block, cores_used, num_equal, ratio, speed
from dspark_bench.machine.environment import Environment
from dspark_bench.machine.processors import usable_cores

TITLE: Final = "# Engines side by side\n"


def section(
    revision: str,
    num_prompts: int,
    setting: Setting,
    blocks: Sequence[Block],
    environment: Environment,
) -> str:
    """Heading, what was done, speeds, ratios, and who is missing.

    revision: the commit; num_prompts: served in each turn; of the setting the batch is not read.
    """
    lines = [
        f"## {environment.cpu_model}, {environment.num_cores} cores",
        "",
        _about(revision, num_prompts, setting, blocks, environment),
        "",
        "| batch | engine | tokens/s | cores used | outputs equal to ours | rounds |",
        "|---|---|---|---|---|---|",
        *(row for block in blocks for row in _speeds(block, num_prompts)),
        "",
        f"| ratio of speeds | {' | '.join(f'batch {block.batch}' for block in blocks)} |",
        f"|---|{'---|' * len(blocks)}",
        *_ratios(blocks),
        f"| cores that others kept busy | {' | '.join(map(_others, blocks))} |",
        *_missing(blocks),
    ]
    return "\n".join([*lines, ""])


def _about(
    revision: str,
    num_prompts: int,
    setting: Setting,
    blocks: Sequence[Block],
    environment: Environment,
) -> str:
    versions = {f"{name} {value}" for block in blocks for name, value in _facts(block)}
    packages = environment.packages
    transformers = packages.get("transformers", "unknown")
    return (
        f"`make bench-peers` (commit {revision}; threads: {setting.threads}; usable cores: "
        f"{usable_cores()}): zoo target, fp32, greedy, {num_prompts} test prompts of at most "
        f"{setting.new_tokens} new tokens, up to their end of sequence. Batch: prompts at once, at "
        "most. A turn serves all of them, prompts included; engines take turns in balanced order "
        "after one round of warm-up. Ratios are of pooled tokens/s, with Student's t of the "
        "logarithm over rounds (95 %). `ar`, `eagle3` and prompt lookup draft "
        f"{setting.gamma} tokens; `ar` and `eagle3` are the same weights. Equal: the same tokens "
        f"as ours without speculation, in every round. Cores used: processor time of an engine's "
        f"processes over the time of its turns. transformers {transformers}, "
        f"{', '.join(sorted(versions))}."
    )


def _facts(block: Block) -> Iterable[tuple[str, str]]:
    return (
        (name, value)
        for facts in block.facts.values()
        for name, value in facts.items()
        if name not in ("torch", "transformers")
    )


def _speeds(block: Block, num_prompts: int) -> Iterable[str]:
    for name, answers in block.answers.items():
        equal = num_equal(answers, block.answers.get(OURS, answers))
        yield (
            f"| {block.batch} | {name} | {speed(answers):.0f} | {cores_used(answers):.2f} "
            f"| {equal} of {num_prompts} | {len(answers)} |"
        )


def _ratios(blocks: Sequence[Block]) -> Iterable[str]:
    for ours, theirs in RATIOS:
        cells = [
            ratio(block.answers[ours], block.answers[theirs]).text()
            if ours in block.answers and theirs in block.answers
            else ""
            for block in blocks
        ]
        if any(cells):
            yield f"| {ours} / {theirs} | {' | '.join(cells)} |"


def _others(block: Block) -> str:
    return "not known" if block.others_cores is None else f"{block.others_cores:.2f}"


def _missing(blocks: Sequence[Block]) -> Iterable[str]:
    reasons = {
        f"{name}: not measured: {reason}"
        for block in blocks
        for name, reason in block.missing.items()
    }
    if reasons:
        yield ""
        yield from sorted(reasons)
