"""Tiny real models, made on the spot: a Qwen3 target and one drafter of every kind on it."""

from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from dspark_bench.core.clock import device_clock
from dspark_bench.core.protocols import Acceptance, Drafter, Scheduler
from dspark_bench.core.records import RunResult
from dspark_bench.core.types import Request, SamplingParams
from dspark_bench.drafters.ar import AutoregressiveDrafter
from dspark_bench.drafters.eagle import EagleDrafter
from dspark_bench.drafters.hydra import HydraDrafter
from dspark_bench.drafters.jetspec import JetSpecDrafter
from dspark_bench.drafters.medusa import MedusaDrafter
from dspark_bench.drafters.mtp import MtpDrafter
from dspark_bench.drafters.parallel import ParallelDrafter
from dspark_bench.drafters.semi_ar import SemiAutoregressiveDrafter
from dspark_bench.engine.acceptance import ExactAcceptance
from dspark_bench.engine.engine import Engine, EngineConfig
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.models.kernels.choice import Wanted
from dspark_bench.models.target import Target, TargetModel
from dspark_bench.schedulers.fixed import FixedScheduler
from dspark_bench.training.block_model import BlockModel, BlockRecipe
from dspark_bench.training.drafter_batch import TrainableDrafter
from dspark_bench.training.drafter_trainer import save_drafter
from dspark_bench.training.eagle_model import EagleModel, EagleRecipe
from dspark_bench.training.feature_model import FeatureModel, FeatureRecipe
from dspark_bench.training.head_models import HeadRecipe, HydraModel, MedusaModel
from dspark_bench.training.mtp_model import MtpModel, MtpRecipe
from dspark_bench.training.target_features import FrozenTarget

CPU = torch.device("cpu")
VOCAB = 64
EOS = 0
LAYERS = (0, 2)
HEAD_DRAFTERS = ("medusa", "hydra")
DRAFTERS = ("parallel", "jetspec", "ar", "eagle", "semi_ar_vanilla", "semi_ar_gated", "semi_ar_rnn")


@cache
def root() -> Path:
    return Path(mkdtemp(prefix="tiny-models-"))


def qwen(seed: int = 0, tied: bool = True) -> Qwen3ForCausalLM:
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=VOCAB,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        tie_word_embeddings=tied,
        max_position_embeddings=256,
        eos_token_id=EOS,
    )
    model = Qwen3ForCausalLM(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.3) if weight.dim() > 1 else weight.uniform_(0.5, 1.5)
    return model


@cache
def target_dir(tied: bool = True) -> Path:
    path = root() / f"target-{tied}"
    qwen(tied=tied).save_pretrained(path)
    return path


@cache
def target(tied: bool = True, kernels: Wanted = Wanted.AUTO) -> TargetModel:
    return TargetModel.load(target_dir(tied), torch.float32, CPU, kernels)


@cache
def frozen() -> FrozenTarget:
    return FrozenTarget(target_dir(), CPU)


def trainable(name: str, teacher: FrozenTarget | None = None) -> TrainableDrafter:
    """A module with weights large enough for its drafts to be accepted now and then."""
    model: TrainableDrafter
    teacher = teacher or frozen()
    if name == "ar":
        model = EagleModel(teacher, EagleRecipe(LAYERS, 16))
    elif name == "eagle":
        model = FeatureModel(teacher, FeatureRecipe(16))
    elif name == "mtp":
        model = MtpModel(teacher, MtpRecipe(8))
    elif name in HEAD_DRAFTERS:
        kind = MedusaModel if name == "medusa" else HydraModel
        model = kind(teacher, HeadRecipe(5, num_blocks=2))
    elif name == "jetspec":
        recipe = BlockRecipe(LAYERS, 1, 2, 16, 0, has_confidence=False, is_causal=True)
        model = BlockModel(teacher, recipe)
    else:
        head = name.removeprefix("semi_ar_") if name != "parallel" else "vanilla"
        rank = 0 if name == "parallel" else 8
        model = BlockModel(teacher, BlockRecipe(LAYERS, 1, 2, 16, rank, head))
    with torch.no_grad():
        for weight in model.module.parameters():
            weight.normal_(0, 0.2) if weight.dim() > 1 else weight.uniform_(0.5, 1.5)
            weight.copy_(weight.bfloat16().float())
        if isinstance(model, FeatureModel):
            # no norm stands behind it: smaller guesses, or its distributions are all on one token
            model.fc.bias.copy_((model.fc.bias - 1).bfloat16().float())
            model.layers[0].mlp.down_proj.weight.mul_(0.25)
            model.fc.weight.mul_(0.5)
    return model


@cache
def drafter_dir(name: str) -> Path:
    path = root() / name
    save_drafter(trainable(name), frozen(), target_dir(), path, {"made": "for tests"})
    return path


def drafter(name: str, path: Path | None = None) -> Drafter:
    directory = path or drafter_dir(name)
    if name == "parallel":
        return ParallelDrafter(directory, target())
    if name == "ar":
        return AutoregressiveDrafter(directory, target())
    if name == "jetspec":
        return JetSpecDrafter(directory, target())
    if name == "eagle":
        return EagleDrafter(directory, target())
    if name == "mtp":
        return MtpDrafter(directory, target())
    if name in HEAD_DRAFTERS:
        return (MedusaDrafter if name == "medusa" else HydraDrafter)(directory, target())
    return SemiAutoregressiveDrafter(directory, target())


def requests(count: int, max_new_tokens: int = 24) -> list[Request]:
    generator = torch.Generator().manual_seed(5)
    made = []
    for index in range(count):
        length = int(torch.randint(1, 40, (1,), generator=generator))
        tokens = torch.randint(1, VOCAB, (length,), generator=generator).tolist()
        made.append(Request(index, f"p{index}", "test", tuple(tokens), max_new_tokens))
    return made


def serve(
    served: list[Request],
    drafting: Drafter | None,
    gamma: int = 4,
    concurrency: int = 1,
    temperature: float = 1.0,
    seed: int = 1,
    scheduler: Scheduler | None = None,
    model: Target | None = None,
    rows: int | None = None,
    max_len: int = 128,
    prefill_tokens: int | None = None,
    acceptance: Acceptance | None = None,
) -> RunResult:
    engine = Engine(
        model or target(),
        drafting,
        scheduler or FixedScheduler(),
        acceptance or ExactAcceptance(),
        SamplingParams(temperature),
        gamma,
        EngineConfig(rows or concurrency, max_len, prefill_tokens=prefill_tokens),
        device_clock(CPU),
    )
    return engine.run(served, ClosedLoad(concurrency), seed)


def outputs(result: RunResult) -> dict[int, tuple[int, ...]]:
    return {record.request_id: record.output_tokens for record in result.requests}
