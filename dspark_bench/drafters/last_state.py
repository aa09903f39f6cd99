"""What drafters made of heads share: how they are read, and the newest state of each request's
target, which is all that they keep of a context. `medusa` and `hydra` are such drafters.
"""

from pathlib import Path

import torch
from torch import Tensor

from dspark_bench.core.features import FINAL_NORM
from dspark_bench.core.types import LARGEST_PROBABILITY, ContextUpdate, DrafterSpec
from dspark_bench.models.checkpoint import check_all_read, naming, read_tensors
from dspark_bench.models.draft_config import Layout
from dspark_bench.models.draft_formats.reading import read_head_config
from dspark_bench.models.draft_heads import DraftHeads
from dspark_bench.models.head_config import HeadConfig, check_heads_fit
from dspark_bench.models.target import LoadedTarget


class HeadDrafter:
    """A drafter made of heads, but for how it drafts: that is its subclass's. See `Drafter`."""

    def __init__(self, name: str, layout: Layout, path: str | Path, target: LoadedTarget) -> None:
        """Raises CheckpointError for a folder that does not hold heads of this layout."""
        config, self._heads = _load_heads(Path(path), layout, target)
        self._states = LastStates(target)
        self.spec = DrafterSpec(
            name,
            config.max_gamma,
            (FINAL_NORM,),
            has_confidence=True,
            notes=config.notes,
            can_branch=True,
            confidence_kind=LARGEST_PROBABILITY,
        )

    def allocate(self, num_rows: int, max_len: int) -> None:
        """Room for a state of each row."""
        self._states.allocate(num_rows)

    def extend(self, update: ContextUpdate) -> None:
        """Keep the newest state of each request."""
        self._states.extend(update)


def _load_heads(
    directory: Path, layout: Layout, target: LoadedTarget
) -> tuple[HeadConfig, DraftHeads]:
    """Heads of a kind, and what their files say. Raises CheckpointError."""
    config = read_head_config(directory, layout)
    check_heads_fit(config, target.config, directory)
    tensors = read_tensors(directory, target.dtype, target.device)
    with naming(directory):
        heads = DraftHeads(config, tensors, target)
    check_all_read(tensors, directory)
    return config, heads


class LastStates:
    """One state [D] a cache row: that of the token before the anchor."""

    def __init__(self, target: LoadedTarget) -> None:
        self._width = target.config.hidden_size
        self._dtype, self._device = target.dtype, target.device
        self._states = torch.empty(0)

    def allocate(self, num_rows: int) -> None:
        """Forget all."""
        self._states = torch.zeros(num_rows, self._width, dtype=self._dtype, device=self._device)

    def extend(self, update: ContextUpdate) -> None:
        """Keep the state of each request's last new token. Mutates `update.rows` only."""
        ends = torch.tensor(update.counts, device=self._device).cumsum(0) - 1
        self._states[torch.tensor(update.rows, device=self._device)] = update.features[ends]

    def of(self, rows: tuple[int, ...]) -> Tensor:
        """[B, D]."""
        if self._states.numel() == 0:
            raise RuntimeError("allocate() comes before extend() and propose()")
        return self._states[torch.tensor(rows, device=self._device)]
