"""The grid of the reference as one table of numbers and one to read.

Every drafter, domain, draft length and temperature: too many points to keep their folders.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

FIGURES = (("speedup", "S"), ("accepted_length", "Accepted length (tau)"))
PLACE = ("temperature", "workload", "drafter", "gamma")
_INTERVALS = tuple(f"{name}{end}" for name, _ in FIGURES for end in ("", "_ci_low", "_ci_high"))
_OTHERS = (
    *("alpha", "acceptance_rate", "draft_cost_ratio", "speedup_theory", "verify_budget"),
    *("throughput_tok_s", "baseline_tok_s", "tpot_p50_s", "lossless_evidence", "degenerate_share"),
    *("n_requests", "n_cycles", "noise_floor", "timing_invalid", "drafter_hash", "target_hash"),
    *("prompts_hash", "point_id"),
)


def keep_grid(folder: Path, out: Path) -> str:
    """Write `grid.csv` and `grid.md` into `out` from a finished sweep. Returns the Markdown."""
    rows = pd.read_csv(folder / "summary.csv")
    rows = rows[rows["status"] == "finished"].sort_values(list(PLACE))
    columns = [name for name in (*PLACE, *_INTERVALS, *_OTHERS) if name in rows.columns]
    rows[columns].to_csv(out / "grid.csv", index=False)
    text = grid_text(rows)
    (out / "grid.md").write_text(text, encoding="utf-8")
    return text


def grid_text(rows: pd.DataFrame) -> str:
    """Per figure, temperature and domain a table of drafters by draft length, with intervals."""
    n = sorted(set(rows["n_requests"].astype(int)))
    lines = [
        "# Every drafter, domain, draft length and temperature",
        "",
        "One request at a time, `scheduler=fixed`; 95 % intervals over prompts, "
        f"n = {' to '.join(map(str, dict.fromkeys((n[0], n[-1]))))} prompts per point. The same "
        "numbers with alpha, costs and counts: `grid.csv`.",
        "",
    ]
    for name, title in FIGURES:
        for (temperature, domain), part in rows.groupby(["temperature", "workload"], sort=False):
            lines += [f"{title}, `{domain}`, temperature {temperature:g}", ""]
            lines += [*_table(part, name), ""]
    return "\n".join(lines)


def _table(part: pd.DataFrame, name: str) -> list[str]:
    gammas = sorted(set(part["gamma"].astype(int)))
    lines = [_line(["drafter", *(f"gamma {gamma}" for gamma in gammas)])]
    lines.append(_line(["---", *("---:" for _ in gammas)]))
    for drafter, own in part.groupby("drafter", sort=False):
        by_gamma = {int(row["gamma"]): row for _, row in own.iterrows()}
        lines.append(_line([str(drafter), *(_cell(by_gamma.get(g), name) for g in gammas)]))
    return lines


def _cell(row: "pd.Series[float] | None", name: str) -> str:
    if row is None or pd.isna(row[name]):
        return "-"
    value, low, high = row[name], row[f"{name}_ci_low"], row[f"{name}_ci_high"]
    interval = "" if pd.isna(low) or pd.isna(high) else f" [{low:.2f}-{high:.2f}]"
    return f"{value:.2f}{interval}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
