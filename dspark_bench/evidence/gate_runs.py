"""Real replays of a drafter and of worse copies of it: the raw material of `bench_gate`."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import pandas as pd
import torch

from dspark_bench.config.compose import compose_point, hydra_session
from dspark_bench.config.point_config import PointConfig, to_point_config
from dspark_bench.core.protocols import Drafter
from dspark_bench.core.types import Request
from dspark_bench.engine.replay_acceptance import ReplayAcceptance
from dspark_bench.gate.counts import Counts, collect_counts
from dspark_bench.gate.estimates import AGGREGATES, estimate
from dspark_bench.measure.build import ModelCache, PointObjects, build_drafter, build_point
from dspark_bench.measure.continuations import with_continuations
from dspark_bench.measure.full_width import decode_full_width
from dspark_bench.measure.identity import HashCache, identify
from dspark_bench.metrics.frames import SPECULATIVE
from dspark_bench.models.checkpoint import read_tensors, write_checkpoint

NOISE_SEED: Final = 20
_RATE: Final = AGGREGATES.index("acceptance_rate")


@dataclass(frozen=True, slots=True)
class ReplayBench:
    """A point with its models and recorded prompts."""

    point: PointConfig
    objects: PointObjects

    @classmethod
    def open(cls, overrides: Sequence[str]) -> "ReplayBench":
        """Build it; records the outputs if they are not there yet."""
        with hydra_session():
            point = to_point_config(compose_point(list(overrides)), "bench_gate")
        objects = build_point(point, ModelCache())
        objects, _ = with_continuations(point, objects, identify(point, HashCache()))
        return cls(point, objects)

    @property
    def drafter(self) -> Drafter:
        """The drafter as it is."""
        assert self.objects.drafter is not None
        return self.objects.drafter

    def shortened(self, num_requests: int, max_new_tokens: int) -> "ReplayBench":
        """The same with fewer prompts and shorter outputs, along the same records."""
        chosen = tuple(
            replace(request, max_new_tokens=min(request.max_new_tokens, max_new_tokens))
            for request in self.objects.prompts.requests[:num_requests]
        )
        prompts = replace(self.objects.prompts, requests=chosen)
        return replace(self, objects=replace(self.objects, prompts=prompts))

    def run(self, drafter: Drafter, seed: int) -> Counts:
        """Serve all prompts once; draws by seed. Counts by prompt."""
        requests = self.objects.prompts.requests
        acceptance = ReplayAcceptance(seed)
        cycles = decode_full_width(
            self.point, self.objects.target, drafter, requests, 0, acceptance
        )
        found = collect_counts(cycles, _request_frame(requests), self.point.gamma, False)
        return found.repeats[0]

    def worse_drafter(self, noise: float, folder: Path) -> Drafter:
        """The drafter with Gaussian noise on its weights, `noise` standard deviations of each."""
        source = self.point.drafter_dir
        assert source is not None
        generator = torch.Generator().manual_seed(NOISE_SEED)
        tensors = read_tensors(source, torch.float32, torch.device("cpu"))
        noisy = {
            name: tensor
            if tensor.dim() < 2
            else tensor + noise * tensor.std() * torch.randn(tensor.shape, generator=generator)
            for name, tensor in tensors.items()
        }
        write_checkpoint(folder, noisy, torch.float32)
        shutil.copy(source / "config.json", folder / "config.json")
        component = self.point.drafter
        moved = replace(component, arguments={**component.arguments, "path": str(folder)})
        drafter = build_drafter(replace(self.point, drafter=moved), self.objects.target)
        assert drafter is not None
        return drafter


def loss(ours: Counts, theirs: Counts) -> float:
    """Relative loss of acceptance rate, by expected acceptance. Both are totals."""
    rates = [float(estimate(c, "expected", is_replay=True)[_RATE]) for c in (ours, theirs)]
    return 1 - rates[0] / rates[1]


def noise_for(losses: Sequence[tuple[float, float]], wanted: float) -> float:
    """Noise at which acceptance falls by `wanted`, between measured (noise, loss), loss rising.

    Loss grows about as the square of the noise, so that is what is interpolated in.
    """
    points = [(0.0, 0.0), *sorted(losses)]
    for (low, low_loss), (high, high_loss) in pairwise(points):
        if low_loss <= wanted <= high_loss:
            share = (wanted - low_loss) / (high_loss - low_loss)
            return float((low**2 + share * (high**2 - low**2)) ** 0.5)
    raise ValueError(f"a loss of {wanted:.0%} lies outside of what was measured: {points}")


def _request_frame(requests: Sequence[Request]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "arm": SPECULATIVE,
                "repeat": 0,
                "block": 0,
                "is_warmup": False,
                "request_id": request.request_id,
                "prompt_id": request.prompt_id,
            }
            for request in requests
        ]
    )
