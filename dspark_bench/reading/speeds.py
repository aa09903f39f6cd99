"""The speeds of a point and of its baseline by unit: what points of one block are compared by."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dspark_bench.metrics.comparison import arm_sums, speed_by_prompt, speed_by_round
from dspark_bench.metrics.frames import measured
from dspark_bench.metrics.intervals import Interval
from dspark_bench.metrics.leads import ERROR, Leads, find_leads, simultaneous
from dspark_bench.metrics.strata import IntArray
from dspark_bench.reading.files import part_of
from dspark_bench.reading.records import read_records


@dataclass(frozen=True, slots=True)
class Speeds:
    """table: tokens and seconds of both arms, a row per prompt (one request at a time) or per
    round; domains: of the prompts, by their id, empty for rounds; num_looks: how often the
    measurement was looked at before it ended.
    """

    table: pd.DataFrame
    domains: Mapping[str, str]
    num_looks: int = 1

    @property
    def strata(self) -> IntArray | None:
        """[U] the units' domains, numbered, in the order of the units' names; None for one."""
        names = [self.domains.get(key, "") for key in self.table.sort_index().index]
        codes, found = pd.factorize(np.array(names, dtype=object))
        return codes.astype(np.int64) if len(found) > 1 else None


def read_speeds(folder: Path, metrics: Mapping[str, Any], load: str, concurrency: int) -> Speeds:
    """Raises ResultsError for records that cannot be used, KeyError where they hold no times."""
    cycles, requests = read_records(folder, metrics)
    num_looks = part_of(metrics, "facts").get("num_looks") or 1
    if load == "closed" and concurrency == 1:
        known = measured(requests)
        domains = known["domain"] if "domain" in known else pd.Series("", known.index)
        by_prompt = dict(zip(known["prompt_id"], domains.astype(str), strict=True))
        return Speeds(speed_by_prompt(cycles, requests), by_prompt, num_looks)
    table = speed_by_round(cycles, requests, max(concurrency, 2), load == "closed")
    return Speeds(table, {}, num_looks)


def leads_among(arms: Mapping[str, Speeds]) -> Leads:
    """The fastest of several arms of one block, by label, and its leads. Domains are strata, and
    the error is shared over the looks. Raises ResultsError if their units differ.
    """
    strata = next(iter(arms.values())).strata
    sums = arm_sums({label: speeds.table for label, speeds in arms.items()}, strata)
    return find_leads(sums, max(speeds.num_looks for speeds in arms.values()))


def paired_ratio(first: Speeds, second: Speeds, num_arms: int = 2) -> Interval:
    """S of one arm over S of another one of its block. The interval is one of those of all pairs of
    `num_arms` arms, which hold together, and shares its error over the looks. Raises ResultsError
    if their units differ.
    """
    sums = arm_sums({"first": first.table, "second": second.table}, first.strata)
    error = ERROR / max(first.num_looks, second.num_looks)
    return simultaneous(sums.table, num_arms, error, sums.strata)
