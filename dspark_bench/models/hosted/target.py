"""A target whose modules are transformers' own, over ragged batches on this project's cache.

Whatever a model does between its attention layers stays as transformers has it: norms, experts,
scaled embeddings, soft caps. Attention is `hosted.attention`. When a model is loaded, a short text
is read once with its own attention and once with that one; where the logits differ it is refused.
"""

from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.attention import AttentionPlan
from dspark_bench.models.checkpoint import content_hash, weight_files
from dspark_bench.models.config import ModelConfig, TargetShape
from dspark_bench.models.hosted.attention import (
    NAME,
    RaggedPass,
    register,
)
from dspark_bench.models.hosted.modules import check_whole, head_of, share_of_experts, weight_of
from dspark_bench.models.hosted.probe import check_equal, hosted_logits, layer_uses, with_uses
from dspark_bench.models.hosted.shape import hosted_shape
from dspark_bench.models.hosted.taps import Taps
from dspark_bench.models.kernels.choice import KernelChoice, Wanted, choose_kernels
from dspark_bench.models.kernels.interface import Kernels
from dspark_bench.models.kv_cache import KVCache, check_length
from dspark_bench.models.linear import Linear
from dspark_bench.models.target import TargetOutput

_NOTE: Final = "transformers computes the target, with its own modules (target.backend)"


class HostedTarget:
    """A model of transformers as a target. Holds no request state: the cache is an argument.

    notes: what a reader of its figures must know.
    """

    def __init__(
        self, model: PreTrainedModel, shape: TargetShape, identity: str, wanted: Wanted
    ) -> None:
        """Raises CheckpointError for a model whose attention does something else than ours."""
        self._model, self._wanted = model, wanted
        self.identity = identity
        self.embed = weight_of(model.get_input_embeddings())
        self.head_weight = head_of(model)
        self.dtype: torch.dtype = self.embed.dtype
        self.device: torch.device = self.embed.device
        self.lm_head = Linear(self.head_weight, None, None)
        self.kernel_choice = KernelChoice(None, "the modules are transformers' own")
        self._taps = Taps(model)
        self._uses = layer_uses(model, self.device, shape)
        self.config: TargetShape = with_uses(shape, self._uses)
        self.notes: tuple[str, ...] = (_NOTE,)
        check_equal(model, shape, self.dtype, self.device)

    @classmethod
    def load(
        cls,
        directory: Path,
        dtype: torch.dtype,
        device: torch.device,
        wanted: Wanted = Wanted.AUTO,
    ) -> "HostedTarget":
        """Read a model directory. Raises CheckpointError with the reason."""
        shape = hosted_shape(directory)
        weight_files(directory)
        register()
        disable_progress_bar()
        try:
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                directory,
                dtype=dtype,
                attn_implementation=NAME,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
            )
        except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise CheckpointError(f"{directory}: transformers cannot load it: {reason}") from error
        model, found = loaded
        check_whole(found, directory)
        model.to(device)
        model.eval().requires_grad_(False)
        return cls(model, shape, content_hash(directory), wanted)

    @property
    def num_weight_bytes(self) -> int:
        """Bytes that one decode step must read: every weight once, of experts those in use."""
        head = self.head_weight.nbytes
        tables = {self.embed.data_ptr(), self.head_weight.data_ptr()}
        share = share_of_experts(self._model)
        total = 0.0
        for name, weight in self._model.named_parameters():
            if weight.data_ptr() not in tables:
                total += weight.nbytes * (share if ".experts." in name else 1.0)
        return head + round(total)

    @property
    def is_batch_invariant(self) -> bool:
        """No: torch's products sum in an order that depends on their number of rows."""
        return False

    def kernels_for(self, config: ModelConfig) -> Kernels | None:
        """What a drafter of this shape runs on beside this target: None for torch's operations."""
        return choose_kernels(self._wanted, self.dtype, self.device, config.head_dim).kernels

    def new_cache(self, num_rows: int, max_len: int) -> KVCache:
        """A cache for `num_rows` requests of up to `max_len` positions.

        Raises UsageError for more positions than the target has.
        """
        check_length(max_len, self.config)
        depth = self.config.num_hidden_layers
        return KVCache(self.config, depth, num_rows, max_len, self.dtype, self.device)

    def forward(
        self,
        token_ids: Tensor,
        plan: AttentionPlan,
        cache: KVCache,
        logit_rows: Tensor | None = None,
        feature_layers: tuple[int, ...] = (),
    ) -> TargetOutput:
        """One pass over a ragged batch; see `TargetModel.forward`."""
        ragged = RaggedPass(cache, plan, self._uses)
        with self._taps.of(feature_layers) as tapped:
            logits = hosted_logits(self._model, token_ids, plan.positions, ragged, logit_rows)
        features = (
            torch.cat([tapped[layer] for layer in feature_layers], dim=-1)
            if feature_layers
            else None
        )
        return TargetOutput(logits, features)
