"""Decoding with everything verified and nothing timed: what calibration is fitted and judged on."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from dspark_bench.config.point_config import PointConfig
from dspark_bench.core.clock import device_clock
from dspark_bench.core.protocols import Acceptance, Drafter
from dspark_bench.core.types import Request
from dspark_bench.engine.engine import Engine
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.measure.predictions import engine_config
from dspark_bench.measure.turns import Turn, TurnResult, cycle_frame, repeat_seed
from dspark_bench.metrics.frames import SPECULATIVE, decode_cycles
from dspark_bench.models.target import LoadedTarget
from dspark_bench.schedulers.fixed import FixedScheduler


def decode_full_width(
    point: PointConfig,
    target: LoadedTarget,
    drafter: Drafter,
    requests: Sequence[Request],
    repeat: int,
    acceptance: Acceptance,
) -> pd.DataFrame:
    """The decode cycles of one run at `measure.calibration_concurrency`; noise by seed and repeat.

    Allocates the drafter's cache anew.
    """
    concurrency = point.measure.calibration_concurrency
    engine = Engine(
        target,
        drafter,
        FixedScheduler(),
        acceptance,
        point.sampling,
        point.gamma,
        replace(engine_config(point, requests, concurrency), notes_confidence=True),
        device_clock(target.device),
    )
    seed = repeat_seed(point.seed, repeat)
    result = engine.run(requests, ClosedLoad(concurrency), seed)
    turn = Turn(SPECULATIVE, repeat, 0, tuple(requests), seed, is_warmup=False)
    return decode_cycles(cycle_frame([TurnResult(turn, result)]))
