"""All metrics of one point: a row of summary.csv and the whole of metrics.json."""

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from dspark_bench.metrics import acceptance, costs, speed, theory
from dspark_bench.metrics.arm_outputs import ArmOutputs, compare_outputs
from dspark_bench.metrics.calibration import STAGES, collect_trials, reliability_table
from dspark_bench.metrics.domains import DomainFigures, domain_figures
from dspark_bench.metrics.foreseen import foreseen_length
from dspark_bench.metrics.frames import SPECULATIVE, decode_cycles, measured, served
from dspark_bench.metrics.gap import SpeedupGap, no_gap, speedup_gap
from dspark_bench.metrics.headline import SHARES, headline_formulas
from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.jackknife import Jackknife
from dspark_bench.metrics.latency import e2e_s, percentile, tpot_s, ttft_s
from dspark_bench.metrics.log_ratio import SHARE
from dspark_bench.metrics.loops import loop_figures
from dspark_bench.metrics.lossless import LosslessResult
from dspark_bench.metrics.more_units import Ending
from dspark_bench.metrics.noise_floor import NoiseFloor, noise_floor
from dspark_bench.metrics.output import degenerate_share
from dspark_bench.metrics.positions import Agreement, PositionSummary, summarise_positions
from dspark_bench.metrics.serving import machine_values, queue_curves, unserved_values
from dspark_bench.metrics.slo import Slo
from dspark_bench.metrics.speed_interval import latency_interval, speedup_interval
from dspark_bench.metrics.strata import domain_strata
from dspark_bench.metrics.sums import (
    FloatArray,
    Pooling,
    Sums,
    collect_sums,
    trial_cycles,
)
from dspark_bench.metrics.timeline import turn_timeline
from dspark_bench.metrics.units import label_units

Cell = float | int | str | None


@dataclass(frozen=True, slots=True)
class SummaryContext:
    """What the records do not say.

    gamma: 0 for `drafter=none`; load: `closed` or another load's name (then S is a ratio of times
    per token); is_selective: the scheduler chooses verify lengths by confidence; profile,
    model_survival, model_mean_output_tokens: for `speedup_model`, from other prompts than the
    run's; floor_step_s: bandwidth floor of one baseline step; agreement: 1 - TV along recorded
    continuations; slo: what a good answer is; share: what every interval is to cover, more than
    95 % where a measurement was looked at several times; ending: what ended it; is_tree: drafts are
    trees, which the i.i.d. formula and the gap that starts from it know nothing of.
    """

    gamma: int
    concurrency: int = 1
    load: str = "closed"
    is_selective: bool = False
    profile: theory.CostProfile | None = None
    model_survival: tuple[float, ...] | None = None
    model_mean_output_tokens: float | None = None
    floor_step_s: float | None = None
    lossless: LosslessResult | None = None
    agreement: Agreement | None = None
    slo: Slo = Slo()
    share: float = SHARE
    ending: Ending = Ending.REPEATS
    is_tree: bool = False

    @property
    def pooling(self) -> Pooling:
        """How the records are pooled."""
        is_closed = self.load == "closed"
        return Pooling(
            self.gamma,
            self.concurrency,
            is_closed,
            self.is_selective,
            self.slo,
            self.ending,
            self.is_tree,
        )


@dataclass(frozen=True, slots=True)
class PointSummary:
    """Figures of one point. Whatever does not exist for it is None.

    headline: figures with intervals; noise: the baseline against itself; values: the other numbers
    of the row; positions: curves along the draft; counts: sums that every ratio can be recomputed
    from; model_inputs: what `speedup_model` was predicted from; queue: requests waiting over time,
    by arm; calibration: `ece`, `auc`, `brier` and `n` of survival by position, `before` and `after`
    calibration, empty without confidences; outputs: both arms' beside each other; tables: frames
    with files of their own, by name, none of them empty; domains: S and accepted length by domain,
    empty where all prompts have one.
    """

    headline: dict[str, Interval]
    noise: NoiseFloor
    values: dict[str, Cell]
    gap: SpeedupGap
    positions: PositionSummary
    counts: dict[str, float]
    lossless: LosslessResult
    model_inputs: dict[str, object]
    queue: dict[str, list[float]]
    calibration: dict[str, dict[str, list[float | None]]]
    outputs: ArmOutputs | None
    tables: dict[str, pd.DataFrame]
    domains: dict[str, DomainFigures]

    def as_row(self) -> dict[str, Cell]:
        """Columns of summary.csv that come from the data."""
        row: dict[str, Cell] = {}
        for name, interval in self.headline.items():
            row[name] = interval.value
            row[f"{name}_ci_low"] = interval.low
            row[f"{name}_ci_high"] = interval.high
        row |= self.values | self.noise.as_row()
        row |= {f"gap_{name}": _finite(value) for name, value in self.gap.terms.items()}
        row["lossless"] = self.lossless.is_lossless
        row["lossless_evidence"] = self.lossless.evidence
        return row

    def as_json(self) -> dict[str, object]:
        """Content of metrics.json: the row, intervals with n, curves, gap and counts."""
        return {
            "summary": self.as_row(),
            "intervals": {name: figure.as_json() for name, figure in self.headline.items()},
            "noise_floor": self.noise.as_json(),
            "speedup_gap": {
                "stages": [_finite(stage) for stage in self.gap.stages],
                "terms": {name: _finite(value) for name, value in self.gap.terms.items()},
            },
            "positions": self.positions.curves,
            "position_intervals": self.positions.intervals,
            "position_counts": self.positions.counts,
            "counts": self.counts,
            "lossless": self.lossless.as_json(),
            "model_inputs": self.model_inputs,
            "queue": self.queue,
            "calibration": self.calibration,
            "domains": {name: found.as_json() for name, found in self.domains.items()},
            "outputs": None if self.outputs is None else self.outputs.as_json(),
        }


def summarise(
    cycles: pd.DataFrame, requests: pd.DataFrame, context: SummaryContext
) -> PointSummary:
    """Every metric of one point from its records. Raises ResultsError on records that disagree.

    With `drafter=none` the speculative arm is a second baseline: S is about 1, tau is 1, and what
    needs draft trials (alpha, theory, gap) is None.
    """
    sums = collect_sums(cycles, requests, context.pooling)
    strata = domain_strata(cycles, requests, context.pooling.is_by_prompt)
    jackknife = Jackknife(sums, strata, context.share)
    basis, speedup = speed.speedup_formula(context.pooling.is_closed)
    headline = {
        name: jackknife.interval(formula, SHARES.get(name))
        for name, formula in headline_formulas(context.pooling, speedup).items()
    }
    headline["speedup"], interval_basis = speedup_interval(
        headline["speedup"].value, sums, context.pooling, strata, context.share
    )
    headline["speedup_e2e"] = latency_interval(
        headline["speedup_e2e"].value, sums, strata, context.share
    )
    labelled, _, _ = label_units(measured(cycles), measured(requests), context.pooling.is_by_prompt)
    decoded = decode_cycles(labelled)
    trials = trial_cycles(decoded, context.is_selective)
    total = jackknife.total
    values = _ratios(total, context) | _request_values(requests) | unserved_values(requests)
    values |= {name: _finite(value) for name, value in machine_values(cycles).items()}
    loops = loop_figures(cycles, requests, context.pooling, headline["speedup"], context.share)
    values |= {} if loops is None else loops.as_row()
    values["drafting_share"] = _finite(float((decoded["num_drafted"] > 0).mean()))
    values["foreseen_length"] = _finite(foreseen_length(decoded))
    values["speedup_basis"] = basis
    values["speedup_interval_basis"] = interval_basis
    values["speedup_model"] = _speedup_model(context)
    measured_speedup = headline["speedup"].value
    return PointSummary(
        headline=headline,
        noise=noise_floor(cycles, requests, context.pooling, context.share),
        values=values,
        gap=_gap(cycles, total, context, measured_speedup),
        positions=summarise_positions(
            trials, context.gamma, sums.num_units, context.agreement, strata, context.share
        ),
        counts=sums.as_counts(),
        lossless=context.lossless or LosslessResult(),
        model_inputs={
            "profile": None if context.profile is None else asdict(context.profile),
            "survival": context.model_survival,
            "mean_output_tokens": context.model_mean_output_tokens,
        },
        queue=queue_curves(cycles),
        calibration=_calibration(trials, context.gamma),
        outputs=compare_outputs(requests, context.share),
        tables=_tables(cycles, trials, context.gamma),
        domains=domain_figures(cycles, requests, context.pooling, context.share),
    )


def _gap(
    cycles: pd.DataFrame, total: Sums, context: SummaryContext, speedup: float | None
) -> SpeedupGap:
    measured_speedup = np.nan if speedup is None else speedup
    if context.is_tree:
        return no_gap(measured_speedup)
    return speedup_gap(cycles, total, context.gamma, measured_speedup)


def _ratios(total: Sums, context: SummaryContext) -> dict[str, Cell]:
    formulas: dict[str, FloatArray] = {
        "emitted_length": acceptance.emitted_length(total),
        "alpha_scheduled": acceptance.alpha_scheduled(total),
        "verified_waste": acceptance.verified_waste(total),
        "baseline_floor_ratio": costs.baseline_floor_ratio(total, context.floor_step_s),
    }
    values: dict[str, Cell] = {name: _finite(float(value)) for name, value in formulas.items()}
    values |= {name: _finite(value) for name, value in costs.stage_times_s(total).items()}
    values["n_cycles"] = int(total.cycles)
    return values


def _request_values(requests: pd.DataFrame) -> dict[str, Cell]:
    """Latencies and output of the measured speculative requests that were served."""
    rows = served(measured(requests, SPECULATIVE))
    waits = {"ttft": ttft_s(rows), "tpot": tpot_s(rows), "e2e": e2e_s(rows)}
    values: dict[str, Cell] = {
        f"{name}_p{percent}_s": _finite(percentile(wait, percent))
        for name, wait in waits.items()
        for percent in (50, 90, 99)
    }
    values["n_requests"] = len(rows)
    values["degenerate_share"] = _finite(degenerate_share(rows))
    prompt_tokens = rows["num_prompt_tokens"].to_numpy(dtype=np.float64)
    values["prompt_tokens_p50"] = _finite(percentile(prompt_tokens, 50))
    return values


def _speedup_model(context: SummaryContext) -> float | None:
    """None without a profile, or without survival and output length of other prompts."""
    length = context.model_mean_output_tokens
    if context.profile is None or context.model_survival is None or length is None:
        return None
    if context.gamma < 1:
        return None
    return theory.speedup_model(context.profile, context.model_survival, context.gamma, length)


def _tables(cycles: pd.DataFrame, trials: pd.DataFrame, gamma: int) -> dict[str, pd.DataFrame]:
    """`timeline` where requests shared a batch or waited, `reliability` with confidences."""
    tables = {
        "timeline": turn_timeline(cycles),
        "reliability": reliability_table(trials, gamma),
    }
    return {name: table for name, table in tables.items() if len(table)}


def _calibration(trials: pd.DataFrame, gamma: int) -> dict[str, dict[str, list[float | None]]]:
    """Scores of the raw confidences and of the calibrated ones, over the same cycles."""
    found = {}
    for name, column in STAGES.items():
        if column in trials.columns and gamma > 0:
            scores = collect_trials(trials, gamma, column).scores()
            if any(score.n for score in scores):
                found[name] = {
                    key: [_finite(getattr(score, key)) for score in scores]
                    for key in ("ece", "auc", "brier", "n")
                }
    return found


def _finite(value: float) -> float | None:
    """None for NaN and infinities, which JSON and CSV readers disagree about."""
    return value if np.isfinite(value) else None
