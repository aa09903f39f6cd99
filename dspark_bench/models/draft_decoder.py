"""A whole decoder as a drafter: a model folder like any target's, of the families computed here.

Its vocabulary is its target's, token for token. Embedding and head may be absent from its files, as
copies are from other drafters'; they are then the target's.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.attention import AttentionPlan
from dspark_bench.models.checkpoint import (
    Header,
    check_all_read,
    check_folder,
    naming,
    read_headers,
    read_tensors,
    read_tokenizer,
)
from dspark_bench.models.config import ModelConfig, TargetShape, read_model_config
from dspark_bench.models.config_keys import shown
from dspark_bench.models.config_values import read_json
from dspark_bench.models.draft_config import EAGLE
from dspark_bench.models.draft_formats.reading import recognise
from dspark_bench.models.expected_tensors import (
    EMBEDDING,
    HEAD,
    Expected,
    check_headers,
    target_tensors,
)
from dspark_bench.models.families import FAMILIES
from dspark_bench.models.kv_cache import KVCache
from dspark_bench.models.layers import load_norm
from dspark_bench.models.linear import Linear
from dspark_bench.models.named_tensors import Tensors, lacking, take
from dspark_bench.models.rotary import Rotary
from dspark_bench.models.stack import DecoderStack
from dspark_bench.models.target import LoadedTarget


class DraftDecoder:
    """Weights and forward pass beside a target. Holds no request state: the cache is an argument.

    notes: what a reader of its figures must know.
    """

    def __init__(self, config: ModelConfig, tensors: Tensors, target: LoadedTarget) -> None:
        self._config, self._target = config, target
        self._kernels = kernels = target.kernels_for(config)
        self._embed, self._lm_head = _vocabulary(config, tensors, target)
        self._stack = DecoderStack.load(tensors, "model.layers.", config, kernels)
        self._norm = load_norm(tensors, "model.norm.weight", config, kernels)
        self._rotary = Rotary(config, target.config.max_position_embeddings, target.device)
        self.notes = _notes(config, target.config)

    @classmethod
    def load(cls, directory: Path, target: LoadedTarget) -> "DraftDecoder":
        """Read a model folder. Raises CheckpointError with the reason."""
        config = read_decoder_config(directory, target.config)
        tensors = read_tensors(directory, target.dtype, target.device)
        with naming(directory):
            model = cls(config, tensors, target)
        check_all_read(tensors, directory)
        return model

    def new_cache(self, num_rows: int, max_len: int) -> KVCache:
        """A cache for `num_rows` requests of up to `max_len` positions."""
        config, target = self._config, self._target
        depth, is_compiled = config.num_hidden_layers, self._kernels is not None
        return KVCache(config, depth, num_rows, max_len, target.dtype, target.device, is_compiled)

    def forward(self, token_ids: Tensor, plan: AttentionPlan, cache: KVCache) -> Tensor:
        """Hidden states [T, D] behind tokens [T]. Writes the cache at `plan.slots`."""
        x = F.embedding(token_ids, self._embed)
        x, _ = self._stack.forward(x, self._rotary.at(plan.positions), cache, plan)
        return x

    def logits(self, hidden: Tensor) -> Tensor:
        """Of what follows hidden states [N, D]: [N, V] fp32."""
        return self._lm_head(self._norm(hidden)).float()


def read_decoder_config(directory: Path, target: TargetShape) -> ModelConfig:
    """The shape of a draft model beside a target. Raises CheckpointError for a folder of another
    kind, and for another vocabulary.
    """
    check_folder(directory)
    path = directory / "config.json"
    data = read_json(path)
    found = recognise(data)
    if found is not None and not (found.layout == EAGLE and EMBEDDING in read_headers(directory)):
        raise CheckpointError(
            f"{path}: a {found.layout.name} drafter, no whole decoder; use "
            f"drafter={found.layout.drafter}"
        )
    if data.get("model_type") not in FAMILIES:
        raise CheckpointError(
            f"{path}: model_type is {shown(data.get('model_type'))}; valid for a draft model: "
            f"{', '.join(map(repr, FAMILIES))}"
        )
    config = read_model_config(directory)
    if config.vocab_size != target.vocab_size:
        raise CheckpointError(
            f"{directory}: the draft model has vocab_size {config.vocab_size}, its target "
            f"{target.vocab_size}; they must be equal"
        )
    return config


def check_decoder_files(directory: Path, target: TargetShape, target_dir: Path) -> None:
    """Look at configuration, headers and tokenizer, without reading weights. Raises
    CheckpointError for what cannot draft for this target.
    """
    config = read_decoder_config(directory, target)
    headers = read_headers(directory)
    check_headers(directory, decoder_tensors(config, target.hidden_size, headers), headers)
    if (directory / "tokenizer.json").is_file():
        _check_tokenizers(directory, target_dir)


def decoder_tensors(
    config: ModelConfig, target_width: int | None, names: Mapping[str, Header]
) -> Expected:
    """Of `DraftDecoder`. names: of what the files hold; target_width: None if it is not known."""
    whole = target_tensors(config)
    if EMBEDDING in names or target_width not in (None, config.hidden_size):
        return whole
    required = {name: s for name, s in whole.required.items() if name not in (EMBEDDING, HEAD)}
    return Expected(required, {HEAD: whole.required[EMBEDDING]})


def _vocabulary(
    config: ModelConfig, tensors: Tensors, target: LoadedTarget
) -> tuple[Tensor, Linear]:
    """Embedding and head; copies of the target's are shared with it. Raises CheckpointError."""
    size, width = config.vocab_size, config.hidden_size
    has_own = EMBEDDING in tensors
    if not has_own and width != target.config.hidden_size:
        raise lacking(EMBEDDING)
    embed = target.embed
    if has_own:
        embed = _shared(take(tensors, EMBEDDING, size, width), target.embed)
    if HEAD in tensors:
        weight = _shared(take(tensors, HEAD, size, width), target.head_weight)
    elif not has_own:
        weight = target.head_weight
    elif config.tie_word_embeddings:
        weight = _shared(embed, target.head_weight)
    else:
        raise lacking(HEAD)
    if weight is target.head_weight:
        return embed, target.lm_head
    return embed, Linear(weight, None, target.kernels_for(config))


def _shared(copy: Tensor, original: Tensor) -> Tensor:
    return original if torch.equal(copy, original) else copy


def _notes(config: ModelConfig, target: TargetShape) -> tuple[str, ...]:
    ours, theirs = config.max_position_embeddings, target.max_position_embeddings
    if ours >= theirs:
        return ()
    return (
        f"the draft model has max_position_embeddings {ours}, its target {theirs}; behind its own, "
        "what it drafts may seldom be accepted",
    )


def _check_tokenizers(directory: Path, target_dir: Path) -> None:
    """Raise CheckpointError where a token id means another text than to the target. Ids that only
    one of them has (added tokens) are let pass.
    """
    ours, theirs = (_texts(folder) for folder in (directory, target_dir))
    for token_id in sorted(ours.keys() & theirs.keys()):
        if ours[token_id] != theirs[token_id]:
            raise CheckpointError(
                f"{directory}: token {token_id} is {ours[token_id]!r} to the draft model and "
                f"{theirs[token_id]!r} to its target; both must have the same tokenizer"
            )


def _texts(directory: Path) -> dict[int, str]:
    known = read_tokenizer(directory).get_vocab(with_added_tokens=True)
    return {token_id: text for text, token_id in known.items()}
