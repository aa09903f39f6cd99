"""A point's prompts as requests: chosen, tokenised, each with its output length."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tokenizers import Tokenizer

from dspark_bench.config.component import build_component
from dspark_bench.config.point_config import PointConfig
from dspark_bench.core.types import Request
from dspark_bench.loads.lengths.plan import LengthPlan, Lengths
from dspark_bench.models.checkpoint import read_tokenizer
from dspark_bench.models.config import ModelConfig, parse_model_config, read_json
from dspark_bench.workloads.chat import ChatRenderer, chat_renderer
from dspark_bench.workloads.prompt import Prompt, Workload
from dspark_bench.workloads.requests import RequestLimits, build_requests


@dataclass(frozen=True, slots=True)
class Prompts:
    """The run's requests, those set apart for calibration, and notes."""

    requests: tuple[Request, ...]
    calibration: tuple[Request, ...]
    notes: tuple[str, ...]


def build_prompts(point: PointConfig, config: ModelConfig | None = None) -> Prompts:
    """Choose and tokenise the prompts. Cheap: reads no weights."""
    maker = _RequestMaker.of(point, config)
    workload = maker.workload
    num_aside = min(point.measure.calibration_requests, workload.num_available("calibration"))
    test = workload.prompts("test", point.num_requests, point.seed)
    aside = workload.prompts("calibration", num_aside, point.seed)
    lengths: Lengths = build_component("lengths", point.lengths)
    plan = lengths.plan(point.num_requests, point.max_new_tokens)
    requests = _with_lengths(maker.make(test), plan)
    calibration = _with_lengths(maker.make(aside, first_id=len(requests)), plan)
    notes = workload.notes + plan.notes
    if point.load.name == "trace" and point.lengths.name != "trace":
        notes += ("the trace's token counts are not used; lengths=trace takes its output lengths",)
    if num_aside < point.measure.calibration_requests:
        notes += (f"the workload holds {num_aside} calibration prompts, fewer than asked for",)
    return Prompts(tuple(requests), tuple(calibration), notes)


def _with_lengths(requests: Sequence[Request], plan: LengthPlan) -> list[Request]:
    """Requests with their own lengths; more requests than lengths start over."""
    lengths = itertools.cycle(plan.tokens)
    return [
        replace(request, max_new_tokens=length)
        for request, length in zip(requests, lengths, strict=False)
    ]


def build_calibration_requests(
    point: PointConfig, config: ModelConfig, num_wanted: int | None, num_most: int
) -> tuple[Request, ...]:
    """Requests of the calibration split alone: no test prompt is read.

    num_wanted: how many, None for all there are up to num_most. Raises WorkloadError if there are
    fewer than wanted.
    """
    maker = _RequestMaker.of(point, config)
    if num_wanted is None:
        num_wanted = min(num_most, maker.workload.num_available("calibration"))
    return tuple(maker.make(maker.workload.prompts("calibration", num_wanted, point.seed)))


@dataclass(frozen=True, slots=True)
class _RequestMaker:
    """A point's workload, and what its prompts are tokenised with."""

    workload: Workload
    tokenizer: Tokenizer
    renderer: ChatRenderer
    limits: RequestLimits

    @classmethod
    def of(cls, point: PointConfig, config: ModelConfig | None) -> "_RequestMaker":
        source = point.target_dir / "config.json"
        shape = config or parse_model_config(read_json(source), str(source))
        limits = RequestLimits(
            point.max_new_tokens, point.gamma + 1, shape.max_position_embeddings, shape.vocab_size
        )
        workload: Workload = build_component("workload", point.workload)
        renderer = chat_renderer(workload.chat_format, point.target_dir)
        return cls(workload, read_tokenizer(point.target_dir), renderer, limits)

    def make(self, prompts: Sequence[Prompt], first_id: int = 0) -> list[Request]:
        """Requests with ids from `first_id`."""
        return build_requests(prompts, self.renderer, self.tokenizer, self.limits, first_id)
