"""How quiet the machine was, and what the GPU did: the report's tables of either."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from dspark_bench.core.wording import number_of
from dspark_bench.metrics.gpu import throttle_reasons
from dspark_bench.metrics.machine import machine_warnings
from dspark_bench.reading.points import Gathered, Point, Sweep
from dspark_bench.report.content import Block, Items, Paragraph, Table
from dspark_bench.report.tables import point_table

_READ_NOISE = (
    "Noise floor: the largest difference from 1 that the 95 % interval of an A/A pair holds, which "
    "is the point's own baseline turns divided by themselves. An S or a lead whose interval lies "
    "within it is neither faster nor slower. The other columns are what else the machine did "
    "during the timed turns; a dash is what it did not report."
)
_READ_GPU = (
    "Sampled by another process during the timed turns. Energy per token is that of the whole GPU "
    "over the tokens that an arm emitted in the same turns."
)
_NOISE_FIGURES = (
    ("S", "speedup", ".2f"),
    ("low", "speedup_ci_low", ".2f"),
    ("high", "speedup_ci_high", ".2f"),
    ("noise floor", "noise_floor", ".3f"),
    ("A/A", "aa_ratio", ".3f"),
    ("A/A low", "aa_ratio_ci_low", ".3f"),
    ("A/A high", "aa_ratio_ci_high", ".3f"),
    ("pairs", "noise_floor.n", ".0f"),
    ("other cores", "machine.other_cores", ".2f"),
    ("at most", "machine.other_cores_max", ".2f"),
    ("steal", "machine.steal_share", ".4f"),
    ("MHz low", "machine.frequency_min_mhz", ".0f"),
    ("MHz high", "machine.frequency_max_mhz", ".0f"),
)
_GPU_FIGURES = tuple(
    (f"{arm}: {head}" if arm else head, f"gpu.arms.{key}.{name}", form)
    for head, name, form in (
        ("busy", "utilisation_mean", ".2f"),
        ("W", "power_mean_w", ".1f"),
        ("W at most", "power_max_w", ".1f"),
        ("J per token", "energy_per_token_j", ".4f"),
        ("MHz", "sm_clock_mean_mhz", ".0f"),
        ("MHz at least", "sm_clock_min_mhz", ".0f"),
        ("bytes in use", "memory_used_max_bytes", ".0f"),
    )
    for arm, key in (("", "speculative"), ("baseline", "baseline"))
)


def noise_blocks(gathered: Gathered) -> tuple[Block, ...]:
    """One table per sweep whose points looked; nothing for older results."""
    tables = [
        point_table(
            part,
            f"{part.name}: timing noise",
            _NOISE_FIGURES,
            has_status=False,
            words=(("interval of S", _interval_basis),),
        )
        for part in _parts(gathered, "machine")
    ]
    return (Paragraph(_READ_NOISE), *tables) if tables else ()


def gpu_blocks(gathered: Gathered) -> tuple[Block, ...]:
    """One table per sweep with samples, and why other points have none."""
    tables: list[Table] = []
    for sweep in _parts(gathered, "gpu"):
        points = tuple(p for p in sweep.points if isinstance(p.block("gpu").get("arms"), dict))
        if points:
            part = Sweep(sweep.name, sweep.folder, sweep.description, points)
            words = (("clocks held down by", _reasons),)
            caption = f"{sweep.name}: the GPU during the timed turns"
            tables.append(point_table(part, caption, _GPU_FIGURES, False, words))
    obstacles = Counter(
        str(found)
        for point in gathered.points
        if (found := point.block("gpu").get("obstacle")) is not None
    )
    missing = tuple(
        f"{reason} ({number_of(count, 'point')})" for reason, count in obstacles.items()
    )
    read = (Paragraph(_READ_GPU),) if tables else ()
    return (*read, *tables, Items(missing)) if missing else (*read, *tables)


def noisy_lines(point: Point) -> tuple[str, ...]:
    """What was too much during a point; empty if nothing was, or nobody looked."""
    reasons = throttle_reasons(point.block("gpu"))
    held = (f"GPU clocks were held down by {', '.join(reasons)}",) if reasons else ()
    return (*machine_warnings(point.block("machine")), *held)


def _parts(gathered: Gathered, name: str) -> list[Sweep]:
    """Sweeps cut down to the measured points that have this block."""
    parts = []
    for sweep in gathered.sweeps:
        points = tuple(p for p in sweep.points if p.is_measured and p.block(name))
        if points:
            parts.append(Sweep(sweep.name, sweep.folder, sweep.description, points))
    return parts


def _interval_basis(point: Point) -> str:
    return point.text("speedup_interval_basis") or "-"


def _reasons(point: Point) -> str:
    content: Mapping[str, Any] = point.block("gpu")
    return ", ".join(throttle_reasons(content)) or "nothing"
