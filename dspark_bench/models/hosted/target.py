"""A target whose modules are transformers' own, over ragged batches on this project's cache.

Whatever a model does between its attention layers stays as transformers has it: norms, experts,
scaled embeddings, soft caps. Attention is `hosted.attention`. When a model is loaded, a short text
is read once with its own attention and once with that one; where the logits differ it is refused.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils.logging import disable_progress_bar

from dspark_bench.core.errors import CheckpointError
from dspark_bench.core.features import EMBEDDING_OUTPUT, FINAL_NORM
from dspark_bench.models.attention import AttentionPlan, plan_attention
from dspark_bench.models.checkpoint import content_hash, weight_files
from dspark_bench.models.config import ModelConfig, TargetShape
from dspark_bench.models.hosted.attention import (
    NAME,
    PASS,
    HostedPass,
    LayerUse,
    ProbePass,
    RaggedPass,
    register,
)
from dspark_bench.models.hosted.shape import hosted_shape
from dspark_bench.models.kernels.choice import KernelChoice, Wanted, choose_kernels
from dspark_bench.models.kernels.interface import Kernels
from dspark_bench.models.kv_cache import KVCache, check_length
from dspark_bench.models.linear import Linear
from dspark_bench.models.spans import Span
from dspark_bench.models.target import TargetOutput

_OWN_ATTENTION: Final = "eager"
_NOTE: Final = "transformers computes the target, with its own modules (target.backend)"
_PROBE_TOKENS: Final = 12
_PROBE_WINDOW: Final = 5
_TOLERANCES: Final = {torch.float32: 1e-4}
_COARSE_TOLERANCE: Final = 0.1
"""Largest difference of logits, as a share of the largest: rounding to 16 bits, or less."""


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
        self.embed = _weight(model.get_input_embeddings())
        self.head_weight = _head(model)
        self.dtype: torch.dtype = self.embed.dtype
        self.device: torch.device = self.embed.device
        self.lm_head = Linear(self.head_weight, None, None)
        self.kernel_choice = KernelChoice(None, "the modules are transformers' own")
        self._taps = _Taps(model)
        self._uses = _probe(model, self.device, shape)
        self.config: TargetShape = _with_uses(shape, self._uses)
        self.notes: tuple[str, ...] = (_NOTE,)
        self._check_equal(shape)

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
        _check_whole(found, directory)
        model.to(device)
        model.eval().requires_grad_(False)
        return cls(model, shape, content_hash(directory), wanted)

    @property
    def num_weight_bytes(self) -> int:
        """Bytes that one decode step must read: every weight once, of experts those in use."""
        head = self.head_weight.nbytes
        tables = {self.embed.data_ptr(), self.head_weight.data_ptr()}
        share = _share_of_experts(self._model)
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
            logits = _logits(self._model, token_ids, plan.positions, ragged, logit_rows)
        features = (
            torch.cat([tapped[layer] for layer in feature_layers], dim=-1)
            if feature_layers
            else None
        )
        return TargetOutput(logits, features)

    def _check_equal(self, shape: TargetShape) -> None:
        """Raise CheckpointError unless short texts have the logits of the model's own attention.

        Two requests share a pass, the first is told in two, and windows are made so small that
        both reach beyond: what depends on other requests, or is masked elsewhere, shows.
        """
        length = min(_PROBE_TOKENS, shape.max_position_embeddings)
        text = torch.arange(1, length + 1, device=self.device) % shape.vocab_size
        texts, cut = (text, text.flip(0)), length // 2
        with torch.inference_mode(), _small_windows(self._model):
            uses = _probe(self._model, self.device, shape)
            small = _with_uses(shape, uses)
            depth = small.num_hidden_layers
            cache = KVCache(small, depth, 2, length, self.dtype, self.device)

            def told(tokens: Tensor, *spans: Span) -> Tensor:
                plan = plan_attention(spans, cache)
                hosted = RaggedPass(cache, plan, uses)
                return _logits(self._model, tokens, plan.positions, hosted)

            both = told(torch.cat([text[:cut], texts[1]]), Span(0, 0, cut), Span(1, 0, length))
            rest = told(text[cut:], Span(0, cut, length - cut))
            ours = torch.cat([both[:cut], rest, both[cut:]])
            with _own_attention(self._model):
                theirs = torch.cat(
                    [self._model(input_ids=x[None], use_cache=False).logits[0] for x in texts]
                ).float()
        gap = float((ours - theirs).abs().max() / theirs.abs().max().clamp_min(1e-6))
        if not gap <= _TOLERANCES.get(self.dtype, _COARSE_TOLERANCE):
            raise CheckpointError(
                f"{type(self._model).__name__} gives other logits with this project's attention "
                f"than with its own (they differ by {gap:.1%} of the largest); such a model cannot "
                "be a target"
            )


class _Taps:
    """What goes into the first layer, comes out of each, and goes into the head: kept while a pass
    asks for it.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._wanted: frozenset[int] = frozenset()
        self._found: dict[int, Tensor] = {}
        layers = _layers(model)
        layers[0].register_forward_pre_hook(self._before_first, with_kwargs=True)
        for index, layer in enumerate(layers):
            layer.register_forward_hook(self._after(index))
        model.base_model.register_forward_hook(self._after_all)

    @contextmanager
    def of(self, layers: tuple[int, ...]) -> Iterator[dict[int, Tensor]]:
        """States [T, D] by layer, or by their name in `core.features`."""
        self._wanted, self._found = frozenset(layers), {}
        try:
            yield self._found
        finally:
            self._wanted, self._found = frozenset(), {}

    def _before_first(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        if EMBEDDING_OUTPUT in self._wanted:
            states = args[0] if args else kwargs["hidden_states"]
            self._found[EMBEDDING_OUTPUT] = states[0]

    def _after_all(self, module: nn.Module, args: Any, output: Any) -> None:
        if FINAL_NORM in self._wanted:
            self._found[FINAL_NORM] = output.last_hidden_state[0]

    def _after(self, index: int) -> Any:
        def keep(module: nn.Module, args: Any, output: Any) -> None:
            if index in self._wanted:
                self._found[index] = (output[0] if isinstance(output, tuple) else output)[0]

        return keep


def _logits(
    model: PreTrainedModel,
    token_ids: Tensor,
    positions: Tensor,
    hosted: HostedPass,
    rows: Tensor | None = None,
) -> Tensor:
    """[N, V] fp32 at the chosen rows of the flattened tokens [T]."""
    output: Any = model(
        input_ids=token_ids[None],
        position_ids=positions[None],
        use_cache=False,
        logits_to_keep=0 if rows is None else rows,
        **{PASS: hosted},
    )
    logits: Tensor = output.logits[0].float()
    return logits


def _probe(
    model: PreTrainedModel, device: torch.device, shape: TargetShape
) -> tuple[LayerUse, ...]:
    """How every layer attends. Raises CheckpointError if one does not, or does it twice."""
    probe = ProbePass()
    tokens = torch.zeros(2, dtype=torch.int64, device=device)
    with torch.inference_mode():
        _logits(model, tokens, torch.arange(2, device=device), probe)
    depth = shape.num_hidden_layers
    if sorted(probe.uses) != list(range(depth)) or probe.num_calls != depth:
        raise CheckpointError(
            f"{type(model).__name__}: {len(probe.uses)} of {depth} layers attend, in "
            f"{probe.num_calls} calls; valid for a target: each once"
        )
    uses = tuple(probe.uses[layer] for layer in range(depth))
    sizes = {(use.num_heads, use.num_kv_heads, use.head_dim) for use in uses}
    if len(sizes) > 1:
        raise CheckpointError(
            f"{type(model).__name__}: layers differ in heads or head size: "
            f"{', '.join(map(str, sorted(sizes)))}; valid for a target: all alike"
        )
    return uses


def _with_uses(shape: TargetShape, uses: tuple[LayerUse, ...]) -> TargetShape:
    windows = tuple(use.window for use in uses)
    return replace(
        shape,
        num_attention_heads=uses[0].num_heads,
        num_key_value_heads=uses[0].num_kv_heads,
        head_dim=uses[0].head_dim,
        windows=windows if any(windows) else (),
    )


@contextmanager
def _small_windows(model: PreTrainedModel) -> Iterator[None]:
    """Sliding windows of `_PROBE_WINDOW` positions in place of larger ones, while this lasts."""
    holders: list[Any] = [model.config.get_text_config(), *model.modules()]
    found = [(one, getattr(one, "sliding_window", None)) for one in holders]
    large = [(one, size) for one, size in found if type(size) is int and size > _PROBE_WINDOW]
    try:
        for one, _ in large:
            one.sliding_window = _PROBE_WINDOW
        yield
    finally:
        for one, size in large:
            one.sliding_window = size


@contextmanager
def _own_attention(model: PreTrainedModel) -> Iterator[None]:
    """The model attends as transformers has it, while this lasts."""
    model.set_attn_implementation(_OWN_ATTENTION)
    try:
        yield
    finally:
        model.set_attn_implementation(NAME)


def _layers(model: PreTrainedModel) -> nn.ModuleList:
    """The decoder layers. Raises CheckpointError where they are not found."""
    with suppress(AttributeError):
        layers = model.get_decoder().layers
        if isinstance(layers, nn.ModuleList) and len(layers):
            return layers
    raise CheckpointError(f"{type(model).__name__} has no list of decoder layers")


def _head(model: PreTrainedModel) -> Tensor:
    head = model.get_output_embeddings()
    if head is None or getattr(head, "bias", None) is not None:
        raise CheckpointError(
            f"{type(model).__name__} has no output head without a bias, which drafters could share"
        )
    return _weight(head)


def _weight(module: nn.Module) -> Tensor:
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight


def _share_of_experts(model: PreTrainedModel) -> float:
    """Of the experts' weights, what one token reads."""
    config = model.config.get_text_config()
    chosen = getattr(config, "num_experts_per_tok", None)
    names = ("num_experts", "num_local_experts", "n_routed_experts")
    whole = next((n for name in names if (n := getattr(config, name, None))), None)
    return min(1.0, chosen / whole) if chosen and whole else 1.0


def _check_whole(found: dict[str, Any], directory: Path) -> None:
    """Raise CheckpointError for tensors that are missing, unread or of another shape."""
    for key, what in (
        ("missing_keys", "lacks"),
        ("unexpected_keys", "holds, and nobody reads,"),
        ("mismatched_keys", "has in another shape"),
    ):
        names = sorted(str(name) for name in found.get(key) or ())
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise CheckpointError(f"{directory}: {what} {names[0]}{more}")
