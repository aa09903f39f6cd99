"""What a reader must know before believing the figures."""

from collections import Counter
from collections.abc import Callable, Sequence

from dspark_bench.core.wording import number_of
from dspark_bench.metrics.acceptance import FOREIGN, is_foreign
from dspark_bench.metrics.log_ratio import MIN_UNITS
from dspark_bench.metrics.lossless import LOSSY
from dspark_bench.metrics.noise_floor import within_floor
from dspark_bench.reading.points import INVALID_REASON, STALE_REASON, Gathered, Point
from dspark_bench.reading.rows import FAILED, INTERRUPTED, STALE, TIMING_INVALID
from dspark_bench.report.noise import noisy_lines
from dspark_bench.report.ratios import measured_speedup
from dspark_bench.report.settings import NO_DRAFTER

WIDE_SHARE = 0.1
DEGENERATE_SHARE = 0.05
_NAMED = 3


def find_warnings(gathered: Gathered) -> tuple[str, ...]:
    """One line per doubt, the gravest first; empty if there is none."""
    points = [point for point in gathered.points if point.is_measured]
    return (
        *gathered.problems,
        *_states(gathered),
        *_environments(points),
        *_about(points, looks_foreign, FOREIGN),
        *_losslessness(points),
        *_noise(points),
        *_floors(points),
        *_machines(points),
        *_output(points),
        *_notes(points),
    )


def looks_foreign(point: Point) -> bool:
    """Whether a point's drafter foresees next to nothing."""
    return is_foreign(point.number("accepted_length"), point.number("acceptance_rate"))


def _states(gathered: Gathered) -> list[str]:
    meanings = {
        FAILED: "failed; the reasons are in the section on failed points",
        TIMING_INVALID: f"{INVALID_REASON}; neither ranked nor drawn",
        STALE: f"{STALE_REASON}; neither ranked nor drawn",
        INTERRUPTED: "interrupted: figures of the whole rounds so far; the same command goes on",
    }
    found = []
    for status, meaning in meanings.items():
        meant = [point for point in gathered.points if point.status == status]
        found += _line(meant, gathered.points, meaning)
    num_pending = sum(len(sweep.pending) for sweep in gathered.sweeps)
    if num_pending:
        found.append(f"{number_of(num_pending, 'point')} asked for, not measured yet")
    return found


def _environments(points: Sequence[Point]) -> list[str]:
    found = []
    for name, meaning in (
        ("machine_id", "machines; their times are never compared with one another"),
        ("code_hash", "revisions of the code"),
    ):
        values = {str(point.environment.get(name)) for point in points if point.environment}
        if len(values) > 1:
            found.append(f"the points come from {len(values)} different {meaning}")
    found += _about(
        points,
        lambda p: bool(p.environment.get("is_dirty")),
        "measured with uncommitted changes in the code",
    )
    found += _about(
        points, _was_busy, "begun while the machine was busy (load above half its cores)"
    )
    return found


def _was_busy(point: Point) -> bool:
    """By the load before the run, which an installation just over raises too: only where nobody
    watched what others did during the turns.
    """
    if point.number("other_cores") is not None:
        return False
    load, cores = point.environment.get("load_average_1m"), point.environment.get("num_cores")
    return bool(load and cores and load > cores / 2)


def _losslessness(points: Sequence[Point]) -> list[str]:
    drafted = [point for point in points if point.text("drafter") != NO_DRAFTER]
    return [
        *_about(
            drafted,
            lambda p: (
                p.text("lossless") == "false"
                and p.text("lossless_evidence") not in ("simulated", LOSSY)
            ),
            "not lossless: output differs from the target's, or the scheduler looks ahead",
        ),
        *_about(
            drafted,
            lambda p: p.text("lossless_evidence") == LOSSY,
            "a lossy rule (acceptance=typical): the text is not the target's, so its S is no "
            "speedup of the same work",
        ),
        *_about(
            drafted,
            lambda p: p.text("lossless") == "" and p.text("lossless_evidence") == "untested",
            "untested: whether sampled output follows the target's law is what "
            "`dspark-bench verify` checks",
        ),
        *_about(
            drafted,
            lambda p: p.text("lossless_evidence") == "near_tie",
            "greedy output that parts from the baseline's where two logits nearly tie",
        ),
    ]


def _noise(points: Sequence[Point]) -> list[str]:
    def is_thin(point: Point) -> bool:
        n = point.num_units("speedup")
        return n is not None and n < MIN_UNITS

    def is_wide(point: Point) -> bool:
        low, high = point.number("speedup_ci_low"), point.number("speedup_ci_high")
        speedup = point.number("speedup")
        return bool(low and high and speedup and (high - low) / 2 > WIDE_SHARE * speedup)

    return [
        *_about(points, is_thin, f"an interval of S that rests on fewer than {MIN_UNITS} units"),
        *_about(points, is_wide, f"an interval of S wider than +-{WIDE_SHARE:.0%}: noisy"),
        *_about(points, lambda p: p.number("speedup") is None, "no measured S (no steady part)"),
    ]


def _floors(points: Sequence[Point]) -> list[str]:
    """Older points know no noise floor and say nothing."""
    drafted = [point for point in points if point.text("drafter") != NO_DRAFTER]

    def is_lost(point: Point) -> bool:
        return within_floor(measured_speedup(point), point.number("noise_floor"))

    def is_apart(point: Point) -> bool:
        low, high = point.number("aa_ratio_ci_low"), point.number("aa_ratio_ci_high")
        return low is not None and high is not None and not low <= 1 <= high

    def has_none(point: Point) -> bool:
        return bool(point.text("noise_floor_basis")) and point.number("noise_floor") is None

    bases = [point.text("noise_floor_basis") for point in points if has_none(point)]
    first = bases[0] if bases else ""
    return [
        *_about(drafted, is_lost, "S within the timing noise floor: neither faster nor slower"),
        *_about(
            points,
            is_apart,
            "the baseline differed from itself by more than its own scatter (by chance one point "
            "in 20 does)",
        ),
        *_about(points, has_none, f"timing noise floor {first}"),
        *_about(
            points,
            lambda p: p.text("speedup_interval_basis").startswith("no interval"),
            "S without an interval: a single unit has no scatter",
        ),
    ]


def _machines(points: Sequence[Point]) -> list[str]:
    """That the machine was too noisy, and what was seen during the first few of those points."""
    noisy = [point for point in points if noisy_lines(point)]
    seen = [
        f"{point.sweep}/{point.point_id}: {line}"
        for point in noisy[:_NAMED]
        for line in noisy_lines(point)
    ]
    return [*_line(noisy, points, "timed on a noisy machine"), *seen]


def _output(points: Sequence[Point]) -> list[str]:
    return [
        *_about(
            points,
            lambda p: (p.number("degenerate_share") or 0.0) > DEGENERATE_SHARE,
            f"degenerate output: more than {DEGENERATE_SHARE:.0%} of the tokens repeat one token, "
            "which inflates acceptance",
        ),
        *_about(
            points,
            lambda p: (p.number("degenerate_requests") or 0.0) > 0,
            "requests whose answer runs in a circle, judged on the baseline's output; "
            "speedup_not_degenerate is S without them",
        ),
        *_about(
            points,
            lambda p: p.keys.get("acceptance") == "forced",
            "simulated acceptance (acceptance=forced)",
        ),
        *_about(points, lambda p: (p.number("n_unserved") or 0) > 0, "requests left unserved"),
    ]


def _notes(points: Sequence[Point]) -> list[str]:
    """What the points noted themselves, each once."""
    notes: Counter[str] = Counter()
    for point in points:
        own = point.metrics.get("notes")
        notes.update(str(note) for note in own) if isinstance(own, list) else None
    return [
        f"{note} ({count} of {number_of(len(points), 'point')})" for note, count in notes.items()
    ]


def _about(points: Sequence[Point], is_meant: Callable[[Point], bool], meaning: str) -> list[str]:
    return _line([point for point in points if is_meant(point)], points, meaning)


def _line(meant: Sequence[Point], points: Sequence[Point], meaning: str) -> list[str]:
    """One line that counts and names the points meant; none if there are none."""
    if not meant:
        return []
    names = ", ".join(f"{point.sweep}/{point.point_id}" for point in meant[:_NAMED])
    more = f" and {len(meant) - _NAMED} more" if len(meant) > _NAMED else ""
    whole = len(meant) == len(points)
    total = number_of(len(points), "point")
    every = "the only point" if len(points) == 1 else f"all {total}"
    which = every if whole else f"{len(meant)} of {total}"
    return [f"{which}: {meaning}" if whole else f"{which}: {meaning} ({names}{more})"]
