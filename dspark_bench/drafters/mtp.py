"""`mtp`: one module for multi-token prediction, run once a draft token (DeepSeek-V3 section 2.2).

It is what some targets are released with, trained beside them. The module reads the target's last
state and the embedding of the token behind it; for each further draft its own last output stands in
for the state. Strong memory of its own prefix, and a cost that grows with every slot, as `ar` has.
Files with several modules have one for each slot (`module_chain`), which draft chains alone.
"""

from pathlib import Path
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from dspark_bench.core.errors import UsageError
from dspark_bench.core.types import (
    LARGEST_PROBABILITY,
    ContextUpdate,
    DraftBatch,
    DrafterSpec,
    Proposal,
)
from dspark_bench.drafters.fed_back import FedBack, FedBackBranches
from dspark_bench.drafters.module_chain import ModuleChain
from dspark_bench.models.attention import AttentionPlan
from dspark_bench.models.checkpoint import StoredTensors, naming, read_tensors, refuse_unread
from dspark_bench.models.draft_config import MTP
from dspark_bench.models.draft_formats.reading import read_mtp_config
from dspark_bench.models.kv_cache import KVCache
from dspark_bench.models.layers import DecoderLayer, RmsNorm
from dspark_bench.models.linear import Linear
from dspark_bench.models.mtp_config import MtpConfig, MtpNames, check_mtp_fits, mtp_features
from dspark_bench.models.named_tensors import Tensors, take
from dspark_bench.models.rotary import Rotary
from dspark_bench.models.target import LoadedTarget
from dspark_bench.models.vocabulary import Vocabulary
from dspark_bench.training.mtp_model import MtpModel, MtpRecipe
from dspark_bench.training.target_features import FrozenTarget


class MtpDrafter:
    """Reads the modules of any maker whose layer is a plain decoder layer."""

    READS: Final = MTP
    """The kind of checkpoint."""

    def __init__(self, path: str | Path, target: LoadedTarget) -> None:
        directory = Path(path)
        config = read_mtp_config(directory)
        check_mtp_fits(config, target.config, directory)
        modules = [_read_module(config, names, directory, target) for names in config.modules]
        self.spec = DrafterSpec(
            "mtp",
            config.max_gamma,
            mtp_features(config, target.config),
            has_confidence=True,
            notes=config.notes,
            can_branch=not config.later,
            confidence_kind=LARGEST_PROBABILITY,
        )
        first, vocabularies = modules[0], [module.vocabulary for module in modules]
        self._loop: FedBack | ModuleChain
        if config.later:
            placed = (target.dtype, target.device, first.is_compiled)
            self._loop = ModuleChain(modules, vocabularies, config.model, *placed)
        else:
            kind = (None, target, first.is_compiled)
            self._loop = FedBack(self.spec, first, config.model, vocabularies[0], *kind)

    def allocate(self, num_rows: int, max_len: int) -> None:
        """Reserve the context cache and the last state of each row."""
        self._loop.allocate(num_rows, max_len)

    def extend(self, update: ContextUpdate) -> None:
        """Run the module over committed tokens with the target's states."""
        self._loop.extend(update)

    def propose(self, batch: DraftBatch) -> Proposal:
        """Draw slot after slot, feeding the module's output back."""
        return self._loop.propose(batch)

    def branch(self, batch: DraftBatch) -> FedBackBranches:
        """The module runs once for each depth, over all prefixes of that depth."""
        if isinstance(self._loop, ModuleChain):
            raise UsageError("drafter=mtp of several modules drafts chains only; valid: tree=none")
        return self._loop.branch(batch)


class MtpModule:
    """See `drafters.fed_back.FedBackLayer`: the module, as its maker means it."""

    def __init__(
        self, config: MtpConfig, names: MtpNames, tensors: Tensors, target: LoadedTarget
    ) -> None:
        model = config.model
        hidden, vocab = model.hidden_size, model.vocab_size
        kernels = target.kernels_for(model)
        norm = [
            RmsNorm(take(tensors, names.of(part), hidden), model.rms_norm_eps, kernels)
            for part in (names.token_norm, names.hidden_norm, names.final_norm)
        ]
        self._token_norm, self._hidden_norm, self._final_norm = norm
        project = take(tensors, names.of(names.project), hidden, 2 * hidden)
        self._project = Linear(project, None, kernels)
        self._layer = DecoderLayer.load(tensors, f"{names.prefix}{names.layer}", model, kernels)
        self._rotary = Rotary(model, target.config.max_position_embeddings, target.device)
        self._style = config.style
        self.is_compiled = kernels is not None
        embed, lm_head = target.embed, target.lm_head
        if names.embed is not None and names.of(names.embed) in tensors:
            embed = take(tensors, names.of(names.embed), vocab, hidden)
        if names.lm_head is not None and names.of(names.lm_head) in tensors:
            own = take(tensors, names.of(names.lm_head), vocab, hidden)
            lm_head = Linear(own, None, kernels)
        self.vocabulary = Vocabulary(embed, lm_head, None, vocab, ())

    def fuse(self, features: Tensor) -> Tensor:
        """The target's last state as it is."""
        return features

    def step(
        self, states: Tensor, token_ids: Tensor, plan: AttentionPlan, cache: KVCache
    ) -> Tensor:
        """States [T, D] and the tokens [T] that follow -> what the next step reads [T, D]."""
        embedded = self._token_norm(F.embedding(token_ids, self.vocabulary.embed))
        parts = [embedded, self._hidden_norm(states)]
        if self._style.hidden_first:
            parts.reverse()
        inputs = self._project(torch.cat(parts, dim=-1))
        out = self._layer.forward(inputs, self._rotary.at(plan.positions), cache, 0, plan)
        return self._final_norm(out) if self._style.feeds_normed else out

    def read_out(self, states: Tensor) -> Tensor:
        """What the head reads: always behind the final norm, once."""
        return states if self._style.feeds_normed else self._final_norm(states)


def _read_module(
    config: MtpConfig, names: MtpNames, directory: Path, target: LoadedTarget
) -> MtpModule:
    """One module of the files. Raises CheckpointError, also for a tensor of it that is not read."""
    prefix = names.prefix if config.is_inside else ""
    tensors = read_tensors(directory, target.dtype, target.device, prefix)
    if config.style.has_centred_norms:
        tensors = _recentred(tensors)
    with naming(directory):
        module = MtpModule(config, names, tensors, target)
    refuse_unread(tensors.unread, directory)
    return module


def _recentred(tensors: StoredTensors) -> StoredTensors:
    """Norms that multiply by 1 + weight, as those that multiply by weight; the others unchanged."""
    return StoredTensors(
        {name: one + 1 if "norm" in name else one for name, one in tensors.items()}
    )


def trainable(target: FrozenTarget, recipe: MtpRecipe) -> MtpModel:
    """The same architecture as a module to be trained, in speculators' layout."""
    return MtpModel(target, recipe)
