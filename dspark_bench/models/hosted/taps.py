"""Hidden states of the layers that a drafter reads, taken while a hosted model runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from dspark_bench.core.features import EMBEDDING_OUTPUT, FINAL_NORM
from dspark_bench.models.hosted.modules import layers_of


class Taps:
    """What goes into the first layer, comes out of each, and goes into the head: kept while a pass
    asks for it.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self._wanted: frozenset[int] = frozenset()
        self._found: dict[int, Tensor] = {}
        layers = layers_of(model)
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
