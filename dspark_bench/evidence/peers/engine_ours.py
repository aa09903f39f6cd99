"""Our engine as a peer: the `Engine` that sweeps measure, with `ar` where there is a drafter."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from dspark_bench.core.clock import device_clock
from dspark_bench.core.types import Request, SamplingParams
from dspark_bench.drafters.ar import AutoregressiveDrafter
from dspark_bench.engine.acceptance import ExactAcceptance
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.models.target import TargetModel
from dspark_bench.schedulers.fixed import FixedScheduler


def start(
    settings: dict[str, Any],
) -> tuple[dict[str, str], Callable[[list[list[int]]], list[list[int]]]]:
    """A closed load of `batch` requests, greedy, fp32."""
    torch.set_num_threads(settings["threads"])
    target = TargetModel.load(Path(settings["target"]), torch.float32, torch.device("cpu"))
    drafter = settings["drafter"] and AutoregressiveDrafter(settings["drafter"], target)
    engine = Engine(
        target,
        drafter,
        FixedScheduler(),
        ExactAcceptance(),
        SamplingParams(0.0),
        settings["gamma"],
        EngineConfig(settings["batch"], settings["max_len"]),
        device_clock(target.device),
    )

    def serve(prompts: list[list[int]]) -> list[list[int]]:
        requests = [
            Request(number, str(number), "", tuple(prompt), settings["new_tokens"])
            for number, prompt in enumerate(prompts)
        ]
        records = engine.run(requests, ClosedLoad(settings["batch"]), 0).requests
        tokens = {record.request_id: list(record.output_tokens) for record in records}
        return [tokens[number] for number in range(len(prompts))]

    return {"kernels": str(target.kernel_choice), "torch": torch.__version__}, serve
