"""The fastest draft length of each drafter, by domain: `speed.md` of `make reference`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from dspark_bench.evidence.reference_origin import measured_on
from dspark_bench.metrics.intervals import Interval
from dspark_bench.reading.gather import gather
from dspark_bench.reading.points import Point
from dspark_bench.report.recommend import Recommendation, recommend

COMPARED: Final = ("parallel", "ar", "semi_ar")
NEW_TOKENS: Final = 64
SWEEPS: Final = {"math": ("math", "5,7"), "text": ("code,prose", "3,4")}
"""Name -> domains, and draft lengths near the fastest of every drafter compared."""


def speed_overrides(name: str, num_requests: int, folder: Path) -> tuple[str, ...]:
    """One sweep of `SWEEPS` below `folder`: every drafter compared in one run, without what S does
    not need.
    """
    domains, gammas = SWEEPS[name]
    return (
        *(f"drafter={','.join(COMPARED)}", f"workload={domains}", f"gamma={gammas}"),
        *(
            f"num_requests={num_requests}",
            f"max_new_tokens={NEW_TOKENS}",
            "measure.precision=null",
            "measure.repeats=1",
        ),
        *("measure.calibration_requests=0", "measure.agreement_requests=0"),
        *(f"name={name}", f"results_dir={folder}"),
    )


def keep_speeds(folder: Path, out: Path) -> str:
    """Write `speed.md` into `out` from finished sweeps below `folder`. Returns the Markdown.

    Raises ResultsError if no point has a measured S.
    """
    text = speed_text(recommend(gather(folder)), measured_on(folder))
    (out / "speed.md").write_text(text, encoding="utf-8")
    return text


def speed_text(found: Sequence[Recommendation], origin: str) -> str:
    """Per domain every drafter at its fastest length, and every other point behind the winner.

    origin: the sentence of `measured_on`.
    """
    lines = [
        "# S at the fastest draft length of each drafter",
        "",
        f"Temperature 1, one request at a time, at most {NEW_TOKENS} new tokens, "
        "`scheduler=fixed`, all drafters in one run; made by `make reference`. Lead: S of the "
        "domain's fastest point over this one. 95 % intervals over prompts, both points "
        "of a prompt kept together. The faster of two lengths looks a little faster than it is, "
        f"for every drafter alike. {origin}",
        "",
        "| domain | drafter | gamma | S | accepted length | lead of the fastest | prompts |",
        "|---|---|---|---|---|---|---|",
    ]
    for item in found:
        lines += _rows(item)
    return "\n".join([*lines, ""])


def _rows(found: Recommendation) -> list[str]:
    """By falling S; lengths at which a drafter is not at its fastest come last."""
    rows = [(found.winner.point, found.winner.speedup, "")]
    rows += [
        (other.candidate.point, other.candidate.speedup, other.ratio.text(3))
        for other in found.challengers
    ]
    firsts, others, seen = list[str](), list[str](), set[str]()
    for point, speedup, lead in rows:
        drafter = point.text("drafter")
        (others if drafter in seen else firsts).append(_row(point, speedup, lead))
        seen.add(drafter)
    return firsts + others


def _row(point: Point, speedup: Interval, lead: str) -> str:
    length = f"{point.number('accepted_length') or float('nan'):.2f}"
    cells = [point.text("workload"), point.text("drafter"), point.text("gamma")]
    return f"| {' | '.join([*cells, speedup.text(), length, lead, str(speedup.n)])} |"
