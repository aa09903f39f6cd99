"""S and accepted length by the prompts' domain: a mixture hides that drafters differ over domains.

Domains are strata of the prompts: each has its own units, and its interval is as wide as their
number makes it.
"""

from dataclasses import dataclass
from typing import Final

import pandas as pd

from dspark_bench.metrics import acceptance, speed
from dspark_bench.metrics.frames import TURN_KEY, measured
from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.jackknife import Jackknife
from dspark_bench.metrics.log_ratio import MIN_UNITS, SHARE
from dspark_bench.metrics.speed_interval import speedup_interval
from dspark_bench.metrics.sums import Pooling, collect_sums

SHARED_BATCH: Final = "no S: requests of several domains share a batch, and its time"


@dataclass(frozen=True, slots=True)
class DomainFigures:
    """One domain. num_prompts: different prompts; basis: what S rests on, or why there is none."""

    num_prompts: int
    accepted_length: Interval
    speedup: Interval
    basis: str

    def as_json(self) -> dict[str, object]:
        """Intervals with n, beside their basis and whether n allows a verdict."""
        return {
            "num_prompts": self.num_prompts,
            "accepted_length": self.accepted_length.as_json(),
            "speedup": self.speedup.as_json(),
            "speedup_interval_basis": self.basis,
            "has_enough_units": self.speedup.n >= MIN_UNITS,
        }


def domain_figures(
    cycles: pd.DataFrame, requests: pd.DataFrame, pooling: Pooling, share: float = SHARE
) -> dict[str, DomainFigures]:
    """Figures of each domain by name, of measured records; empty where there are fewer than two.

    In a closed loop of several requests a batch's time belongs to all domains in it, so S is None
    there; with arrivals of their own, S is that of the domain's requests' times per token. share:
    what intervals are to cover.
    """
    known = measured(requests)
    names = sorted(known["domain"].dropna().astype(str).unique()) if "domain" in known else []
    if len(names) < 2:
        return {}
    num_prompts = known.groupby("domain")["prompt_id"].nunique()
    labels = known[[*TURN_KEY, "request_id", "domain"]].drop_duplicates()
    rows = measured(cycles).merge(labels, on=[*TURN_KEY, "request_id"], how="left")
    return {
        name: _figures(
            rows[rows["domain"] == name].drop(columns="domain"),
            known[known["domain"] == name],
            pooling,
            share,
            part=num_prompts[name] / num_prompts.sum() if pooling.is_by_prompt else 1.0,
        )
        for name in names
    }


def _figures(
    cycles: pd.DataFrame, requests: pd.DataFrame, pooling: Pooling, share: float, part: float
) -> DomainFigures:
    """part: of all units, the domain's: all rounds hold every domain."""
    sums = collect_sums(cycles, requests, pooling)
    jackknife = Jackknife(sums, share=share)
    if pooling.is_closed and not pooling.is_by_prompt:
        speedup, basis = Interval(None, None, None, sums.num_units), SHARED_BATCH
    else:
        _, formula = speed.speedup_formula(pooling.is_closed)
        value = jackknife.interval(formula).value
        speedup, basis = speedup_interval(value, sums, pooling, None, share, part)
    return DomainFigures(
        num_prompts=int(requests["prompt_id"].nunique()),
        accepted_length=jackknife.interval(acceptance.accepted_length),
        speedup=speedup,
        basis=basis,
    )
