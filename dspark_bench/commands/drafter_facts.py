"""What `inspect` says of a drafter's configuration, by kind."""

from dspark_bench.core.features import FINAL_NORM
from dspark_bench.models.draft_config import DraftConfig
from dspark_bench.models.drafter_files import AnyDraftConfig
from dspark_bench.models.head_config import HeadConfig
from dspark_bench.models.mtp_config import MtpConfig

_STAND_IN = "no head: the drafter's largest probability stands in"


def described(config: AnyDraftConfig) -> dict[str, str]:
    """What is drafted, by what, from which states of the target."""
    if isinstance(config, HeadConfig):
        return _described_heads(config)
    if isinstance(config, MtpConfig):
        return _described_module(config)
    return _described_layers(config)


def fits(config: AnyDraftConfig) -> str:
    """Which targets."""
    if isinstance(config, HeadConfig):
        return _fits_heads(config)
    if isinstance(config, MtpConfig):
        return f"targets of {config.model.vocab_size} tokens and width {config.model.hidden_size}"
    return _fits_layers(config)


def _described_module(config: MtpConfig) -> dict[str, str]:
    style = config.style
    order = "state, then embedding" if style.hidden_first else "embedding, then state"
    fed = "behind" if style.feeds_normed else "before"
    state = "behind" if style.reads_normed else "before"
    number, whose = "one layer", "its own"
    if config.later:
        number, whose = f"{len(config.modules)} layers, one for each slot,", "the one before's"
    return {
        "gamma": _gamma(config.max_gamma),
        "reads": f"the target's last state, {state} its final norm",
        "drafts": f"all {config.model.vocab_size} tokens",
        "module": f"{number} of width {config.model.hidden_size}, reads {order}",
        "reads next": f"{whose} output {fed} the final norm",
        "confidence": _STAND_IN,
    }


def _gamma(max_gamma: int | None) -> str:
    return "any: not stated" if max_gamma is None else f"up to {max_gamma}"


def _described_heads(config: HeadConfig) -> dict[str, str]:
    drafted = "all tokens, with the target's head"
    if config.draft_vocab_size is not None:
        drafted = f"{config.draft_vocab_size} tokens"
    elif config.vocab_size is not None:
        drafted = f"all {config.vocab_size} tokens"
    blocks = f"{config.num_blocks} block{'s' * (config.num_blocks > 1)}"
    sight = ", each reading the drafts before its own" if config.is_grounded else ""
    facts = {
        "gamma": f"up to {config.max_gamma}",
        "reads": "the target's last state, behind its final norm",
        "drafts": drafted,
        "heads": f"{config.num_heads} of {blocks}, width {config.hidden_size}{sight}",
        "confidence": _STAND_IN,
    }
    return facts if config.said is None else facts | {"note": config.said}


def _fits_heads(config: HeadConfig) -> str:
    is_whole = config.vocab_size is not None and config.draft_vocab_size is None
    vocab = f"{config.vocab_size} tokens and " if is_whole else ""
    return f"targets of {vocab}width {config.hidden_size}"


def _described_layers(config: DraftConfig) -> dict[str, str]:
    model = config.model
    reads = "the inputs of layers 2, n // 2 and n - 3 of its target's n"
    if config.target_layer_ids is not None:
        named = ["the embedding" if i == -1 else str(i) for i in config.target_layer_ids]
        reads = f"the outputs of the target's layers {', '.join(named)} (the first is 0)"
    if config.target_layer_ids == (FINAL_NORM,):
        reads = "the target's state behind its final norm"
    drafted = f"all {model.vocab_size} tokens"
    if config.is_reduced:
        head = "" if config.has_own_head else ", with the target's head"
        drafted = f"{config.draft_vocab_size} of {model.vocab_size} tokens{head}"
    head = f", {config.head_type} head of rank {config.markov_rank}" if config.markov_rank else ""
    return {
        "gamma": _gamma(config.max_gamma),
        "reads": reads,
        "drafts": drafted,
        "layers": f"{model.num_hidden_layers} of width {model.hidden_size}{head}",
        "confidence": "yes" if config.has_confidence else _STAND_IN,
    }


def _fits_layers(config: DraftConfig) -> str:
    depth = "7 layers or more"
    if config.num_target_layers is not None:
        depth = f"{config.num_target_layers} layers"
    elif config.target_layer_ids is not None:
        depth = f"{max(1, max(config.target_layer_ids) + 2)} layers or more"
    vocab, width = config.model.vocab_size, config.target_hidden_size
    return f"targets of {vocab} tokens, width {width} and {depth}"
