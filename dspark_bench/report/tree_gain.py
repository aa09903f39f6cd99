"""`tree_gain`: S of a tree over S of a chain of the same drafter, both measured in one block.

With the same drafter, a tree's nodes compete with a longer chain for the same verified tokens. So
each tree stands against the chain that has as many of them (by measured `verify_budget`), above the
drafter's trained length against its longest chain, and the fastest tree against the fastest chain.
Two arms of one block are paired unit by unit; the interval of the last comparison, whose arms are
chosen by their speed, is simultaneous over all arms that they were chosen from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.log_ratio import MIN_UNITS
from dspark_bench.metrics.noise_floor import within_floor
from dspark_bench.report.content import Cell, Paragraph, Section, Table
from dspark_bench.report.ratios import SpeedRecords
from dspark_bench.report.recommend import Candidate, Recommendation
from dspark_bench.report.settings import configuration_of, short_label, varying
from dspark_bench.report.tables import figure_cell

SAME_BUDGET: Final = 0.05
"""How much two budgets may differ, relatively, and still be called equal: drafts that a text's end
cuts off are verified by neither alike.
"""
_CHAIN = ("", "none")
_READ_GAINS = (
    "S of a tree over S of a chain of the same drafter, both of one block and paired, 95 % "
    "intervals. Equal budget: both verify as many tokens per request and cycle. Longest chain: the "
    "tree verifies more than any chain that the drafter was trained for. Each at its best: the "
    "fastest measured tree over the fastest measured chain."
)


class Basis(Enum):
    """Which chain a tree is compared with."""

    EQUAL_BUDGET = "equal budget"
    LONGEST_CHAIN = "longest chain"
    BEST = "each at its best"


@dataclass(frozen=True, slots=True)
class TreeGain:
    """ratio: S of the tree over S of the chain; names: what the tree and the chain are called."""

    basis: Basis
    tree: Candidate
    chain: Candidate
    names: tuple[str, str]
    ratio: Interval

    @property
    def budgets(self) -> tuple[float, float]:
        """Tokens that the tree and the chain verify per request and cycle."""
        return _budget(self.tree), _budget(self.chain)

    @property
    def verdict(self) -> str:
        """Whether one is faster outside of noise, in a few words."""
        low, high, n = self.ratio.low, self.ratio.high, self.ratio.n
        if low is None or high is None or n < MIN_UNITS:
            return "too few"
        floors = [item.noise_floor for item in (self.tree, self.chain)]
        floor = max((each for each in floors if each is not None), default=None)
        if low <= 1 <= high or within_floor(self.ratio, floor):
            return "tie"
        return "tree" if low > 1 else "chain"


def tree_gains(found: Recommendation) -> tuple[TreeGain, ...]:
    """Those of one setting: by drafter in the order of its fastest point, trees by budget, the best
    of each drafter last. Empty where no block holds trees and chains of one drafter.
    """
    records, gains = SpeedRecords(), list[TreeGain]()
    for group in _same_drafter(found):
        trees = sorted((item for item in group if not _is_chain(item)), key=_budget)
        chains = [item for item in group if _is_chain(item)]
        if not trees or not chains:
            continue
        pairs = [(tree, *_rival(tree, chains)) for tree in trees]
        known = [(tree, chain, basis, 2) for tree, chain, basis in pairs if chain is not None]
        known.append((max(trees, key=_speed), max(chains, key=_speed), Basis.BEST, len(group)))
        names = _names(group)
        for tree, chain, basis, num_arms in known:
            ratio = records.ratio(tree.point, chain.point, num_arms)
            if ratio is not None:
                called = names[tree.label], names[chain.label]
                gains.append(TreeGain(basis, tree, chain, called, ratio))
    return tuple(gains)


def gain_lines(found: Sequence[Recommendation]) -> list[str]:
    """For a terminal; none where there is nothing to compare."""
    lines = []
    for item in found:
        gains = tree_gains(item)
        lines += [f"tree_gain, S of tree over chain, {item.setting}"] if gains else []
        for gain in gains:
            lines.append(f"  {gain.names[0]} over {gain.names[1]}:")
            budgets = "{:.1f} and {:.1f} tokens".format(*gain.budgets)
            lines.append(f"    {gain.ratio.text()} {gain.verdict}; {gain.basis.value}, {budgets}")
        lines += [""] if gains else []
    return lines


def gain_sections(found: Sequence[Recommendation]) -> list[Section]:
    """For a report; none where there is nothing to compare."""
    rows = [_row(item.setting, gain) for item in found for gain in tree_gains(item)]
    if not rows:
        return []
    heads = (
        *("setting", "basis", "tree", "chain", "budget of the tree", "of the chain"),
        *("S of the tree", "of the chain", "tree_gain", "n", "faster"),
    )
    table = Table("tree_gain: S of a tree over S of a chain", heads, tuple(rows), num_heads=4)
    return [Section("Trees against chains", (Paragraph(_READ_GAINS), table))]


def _row(setting: str, gain: TreeGain) -> tuple[Cell, ...]:
    both = (gain.tree.point, gain.chain.point)
    return (
        *(Cell(setting), Cell(gain.basis.value), *(Cell(name) for name in gain.names)),
        *(figure_cell(point, "verify_budget", ".2f") for point in both),
        *(figure_cell(point, "speedup", ".2f") for point in both),
        *(Cell(gain.ratio.text()), Cell(str(gain.ratio.n)), Cell(gain.verdict)),
    )


def _same_drafter(found: Recommendation) -> list[list[Candidate]]:
    """Candidates of one block that differ in draft length and tree alone."""
    groups: dict[tuple[str, ...], list[Candidate]] = {}
    for item in (found.winner, *(other.candidate for other in found.challengers)):
        block = item.point.text("block_id")
        chosen = configuration_of(item.point).items()
        kept = [f"{key}={value}" for key, value in sorted(chosen) if not _is_shape(key)]
        if block and item.point.number("verify_budget") is not None:
            groups.setdefault((block, *kept), []).append(item)
    return list(groups.values())


def _is_shape(key: str) -> bool:
    return key == "gamma" or key.partition(".")[0] == "tree"


def _rival(tree: Candidate, chains: Sequence[Candidate]) -> tuple[Candidate | None, Basis]:
    """The chain of the same budget; else the longest, where no longer one can be drafted."""
    wanted = _budget(tree)
    nearest = min(chains, key=lambda item: abs(_budget(item) - wanted))
    if abs(_budget(nearest) - wanted) <= SAME_BUDGET * wanted:
        return nearest, Basis.EQUAL_BUDGET
    longest = max(chains, key=_budget)
    is_whole = longest.point.number("gamma") == longest.point.number("gamma_trained")
    is_beyond = is_whole and _budget(longest) < wanted
    return (longest if is_beyond else None), Basis.LONGEST_CHAIN


def _names(group: Sequence[Candidate]) -> dict[str, str]:
    """By label; a tree's nodes are always said."""
    chosen = {item.label: configuration_of(item.point) for item in group}
    differing = dict.fromkeys([*varying(list(chosen.values())), "tree.nodes"])
    return {label: short_label(values, list(differing)) for label, values in chosen.items()}


def _is_chain(item: Candidate) -> bool:
    return item.point.text("tree") in _CHAIN


def _budget(item: Candidate) -> float:
    return item.point.number("verify_budget") or 0.0


def _speed(item: Candidate) -> float:
    return item.speedup.value or 0.0
