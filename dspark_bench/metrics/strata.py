"""Units in strata: the error of a pooled figure from units that are left out one at a time.

A workload fixes how many prompts it takes of each domain, so that differences between domains are
no scatter; only what prompts of one domain differ by is. The figure itself stays the ratio of
pooled sums, which weighs a domain by what was served of it. A unit left out is made up for by the
others of its stratum (the stratified delete-one jackknife), the strata's variances add up, and so
do their degrees of freedom after Satterthwaite. With one stratum all of this is the plain
jackknife. Used by `log_ratio`, `jackknife` and `leads`.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dspark_bench.metrics.frames import measured
from dspark_bench.metrics.units import FloatArray, label_units

IntArray = NDArray[np.int64]


def domain_strata(
    cycles: pd.DataFrame, requests: pd.DataFrame, is_by_prompt: bool
) -> IntArray | None:
    """[U] the domain of every unit, numbered, in the order of `collect_sums`.

    None where there is nothing to tell apart: units that are rounds hold every domain, and prompts
    may have one domain or none. Raises ResultsError for a cycle without a request.
    """
    if not is_by_prompt or "domain" not in requests:
        return None
    _, known, num_units = label_units(measured(cycles), measured(requests), is_by_prompt)
    names = known.drop_duplicates("unit").set_index("unit")["domain"].reindex(range(num_units))
    codes, found = pd.factorize(names, use_na_sentinel=False)
    return codes.astype(np.int64) if len(found) > 1 else None


def strata_of(labels: IntArray | None, num_units: int) -> tuple[IntArray, ...]:
    """The places of each stratum's units, each of 2 or more.

    labels [U]: a number per stratum; None: one for all. Strata of fewer than 2 units form one; a
    single unit that is left joins the smallest stratum. Raises ValueError for another length.
    """
    if labels is None:
        return (np.arange(num_units),)
    if labels.shape != (num_units,):
        raise ValueError(f"strata are {labels.shape}; valid: ({num_units},)")
    parts = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    whole = sorted((part for part in parts if len(part) > 1), key=len)
    single = [part for part in parts if len(part) == 1]
    if len(single) == 1 and whole:
        whole[0] = np.sort(np.concatenate([whole[0], *single]))
    elif single:
        whole.append(np.sort(np.concatenate(single)))
    return tuple(sorted(whole, key=lambda part: int(part[0])))


def sums_without_each(table: FloatArray, strata: Sequence[IntArray]) -> FloatArray:
    """[..., U, C] the sums over all units but one, whose stratum the others make up for.

    table [..., U, C]: sums by unit. With one stratum the plain rest: ratios need no more.
    """
    total = table.sum(axis=-2, keepdims=True)
    if len(strata) == 1:
        return np.asarray(total - table)
    rest = np.empty_like(table)
    for part in strata:
        own = table[..., part, :]
        stratum = own.sum(axis=-2, keepdims=True)
        scale = len(part) / (len(part) - 1)
        rest[..., part, :] = (total - stratum) + (stratum - own) * scale
    return rest


def deviations(without: FloatArray, strata: Sequence[IntArray]) -> FloatArray:
    """[..., U] whose squares add up to the jackknife's variance, of figures without each unit."""
    apart = np.empty_like(without)
    for part in strata:
        own, num_units = without[..., part], len(part)
        scale = np.sqrt((num_units - 1) / num_units)
        apart[..., part] = (own - own.mean(axis=-1, keepdims=True)) * scale
    return apart


def error_and_degrees(
    without: FloatArray, sizes: FloatArray, strata: Sequence[IntArray]
) -> tuple[FloatArray, FloatArray]:
    """Standard error [...] of a figure and its degrees of freedom [...].

    without [..., U]: the figure without each unit; sizes [..., U]: units' shares of the whole. The
    error is NaN where one of `without` is. Degrees: Satterthwaite's of each stratum's sizes, then
    of the sum of the strata's variances.
    """
    variances = np.stack([_variance(without[..., part]) for part in strata])
    if len(strata) == 1:
        return np.sqrt(variances[0]), degrees_of_freedom(sizes)
    degrees = np.stack([_degrees_within(sizes[..., part]) for part in strata])
    total = variances.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.nan_to_num(variances / total, nan=1 / len(strata))
    return np.sqrt(total), np.asarray(1 / (shares**2 / degrees).sum(axis=0))


def _variance(without: FloatArray) -> FloatArray:
    """The jackknife's [...], of figures without each unit [..., U]."""
    num_units = without.shape[-1]
    apart = without - without.mean(axis=-1, keepdims=True)
    return np.asarray((num_units - 1) / num_units * (apart**2).sum(axis=-1))


def _degrees_within(sizes: FloatArray) -> FloatArray:
    """Of one stratum among several; 1 where one unit holds all of it, or none holds anything."""
    totals = sizes.sum(axis=-1, keepdims=True)
    shares = np.where(totals > 0, sizes, 1) / np.where(totals > 0, totals, 1)
    found = np.where(totals[..., 0] > 0, degrees_of_freedom(shares), 1.0)
    return np.nan_to_num(found, nan=1.0)


def degrees_of_freedom(sizes: FloatArray) -> FloatArray:
    """Satterthwaite's degrees of freedom [...] of the error, for shares of the whole [..., U].

    tr(M)^2 / tr(M^2), with M the form of the residuals' squares (weighted size^2 / (1 - size)) in
    independent units of equal scatter; U - 1 for equal sizes, towards 1 where one unit is all, NaN
    where it is.
    """
    sizes = np.where(sizes.max(axis=-1, keepdims=True) < 1, sizes, np.nan)
    forms = sizes**2 / (1 - sizes)
    squares = (sizes**2).sum(axis=-1, keepdims=True)
    crossed = squares - 2 * sizes  # what two units share: - w_u - w_v + sum w^2, here u = v
    trace = (forms * (1 + crossed)).sum(axis=-1)
    zeroth, first, second = ((forms * sizes**k).sum(axis=-1) for k in range(3))
    square = squares[..., 0]
    of_pairs = square**2 * zeroth**2 + 2 * zeroth * second + 2 * first**2
    of_pairs -= 4 * square * zeroth * first
    own = (forms**2 * ((1 + crossed) ** 2 - crossed**2)).sum(axis=-1)
    return np.asarray(np.maximum(trace**2 / (of_pairs + own), 1.0))


def widening(num_units: int, num_strata: int = 1) -> float:
    """What Student's quantile is multiplied by, for the skewness of texts and times: 1 + 1/U, where
    each stratum more takes a unit away.
    """
    return 1 + 1 / (num_units - num_strata + 1)
