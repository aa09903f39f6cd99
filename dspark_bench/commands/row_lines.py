"""What is said of one point below the table, and by which name."""

from collections.abc import Sequence
from typing import Any

from dspark_bench.config.point_config import NO_TREE
from dspark_bench.reading.rows import Row


def row_label(row: Row, swept_keys: Sequence[str]) -> str:
    """Which row a line below the table speaks of."""
    said = [key for key in swept_keys if key not in ("drafter", "gamma")]
    if row.get("tree") == NO_TREE:  # its keys have no meaning for chains
        said = [key for key in said if not key.startswith("tree.")]
    others = [f" {key}={row.get(key)}" for key in said]
    return f"{row['drafter']} gamma={row['gamma']}{''.join(others)}"


def divergence_lines(label: str, lossless: dict[str, Any]) -> list[str]:
    """Where greedy outputs of the arms differ, with the margins, and the control beside it."""
    comparison, control = lossless.get("comparison"), lossless.get("control")
    failed = lossless.get("failed_checks") or ()
    if failed:
        return [f"{label}: not the target's law: {check}" for check in failed]
    if not comparison or not comparison["divergences"]:
        return []
    margins = [divergence["margin"] for divergence in comparison["divergences"]]
    known = sorted(margin for margin in margins if margin is not None)
    shown = ", ".join(f"{margin:.1e}" for margin in known) or "not recorded"
    lines = [
        f"{label}: {len(margins)} of {comparison['num_compared']} greedy outputs diverge "
        f"({lossless['evidence']}); logit margins there: {shown}"
    ]
    if control:
        lines.append(
            f"{label}: control, baseline against baseline at another batch size: "
            f"{len(control['divergences'])} of {control['num_compared']} diverge"
        )
    return lines


def serving_lines(label: str, row: Row) -> list[str]:
    """What the table alone would mislead about: how often a drafter that may find nothing drafted,
    goodput where an objective is set, and what either arm did not serve and why.
    """
    lines = []
    share = row.get("drafting_share")
    if row.get("falls_short") is True and share is not None:
        lines.append(
            f"{label}: drafted in {share:.0%} of the cycles; alpha, c and S theory speak of those"
        )
    goodput, baseline = row.get("goodput_req_s"), row.get("baseline_goodput_req_s")
    if goodput is not None and baseline is not None:
        lines.append(
            f"{label}: {goodput:.2f} requests/s met the SLO ({row['slo_attainment']:.0%}); "
            f"baseline {baseline:.2f} ({row['baseline_slo_attainment']:.0%})"
        )
    for prefix, arm in (("", "speculation"), ("baseline_", "baseline")):
        reason = row.get(f"{prefix}stop_reason")
        if reason is not None:
            lines.append(
                f"{label}: {arm} left {row[f'{prefix}n_unserved']} requests unserved, and "
                f"{row[f'{prefix}n_not_sent']} never fell due (measure.{reason}); latencies leave "
                "them out"
            )
    return lines
