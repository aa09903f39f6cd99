"""`jetspec`: JetSpec's causal block head. DFlash's layers and one pass, but a slot sees the anchor
and the slots before its own alone, so a longer block leaves the first slots as they are.

A slot knows which slots stand before it, not which tokens were drawn there: its distribution is a
marginal, as DFlash's is. JetSpec verifies trees of it: `tree=jetspec`, or `best_first`.
"""

from pathlib import Path
from typing import Final

from dspark_bench.core.types import (
    LARGEST_PROBABILITY,
    ContextUpdate,
    DraftBatch,
    DrafterSpec,
    Proposal,
)
from dspark_bench.drafters.branching import MarginalBranches, marginal_branches
from dspark_bench.drafters.slot_sampling import draw_block
from dspark_bench.models.block_backbone import BlockBackbone
from dspark_bench.models.checkpoint import check_all_read
from dspark_bench.models.draft_config import JETSPEC
from dspark_bench.models.target import LoadedTarget
from dspark_bench.training.block_model import BlockModel, BlockRecipe
from dspark_bench.training.target_features import FrozenTarget


class JetSpecDrafter:
    """Reads a JetSpec checkpoint: DFlash's keys, with `dflash_config.causal_head`."""

    READS: Final = JETSPEC
    """The kind of checkpoint."""

    def __init__(self, path: str | Path, target: LoadedTarget) -> None:
        directory = Path(path)
        self._backbone, tensors = BlockBackbone.load(directory, target, JETSPEC)
        check_all_read(tensors, directory)
        self.spec = DrafterSpec(
            "jetspec",
            self._backbone.config.max_gamma,
            self._backbone.feature_layers,
            has_confidence=True,
            notes=self._backbone.notes,
            can_branch=True,
            confidence_kind=LARGEST_PROBABILITY,
        )

    def allocate(self, num_rows: int, max_len: int) -> None:
        """Reserve the context cache."""
        self._backbone.allocate(num_rows, max_len)

    def extend(self, update: ContextUpdate) -> None:
        """Inject newly committed tokens."""
        self._backbone.extend(update)

    def propose(self, batch: DraftBatch) -> Proposal:
        """Draw every slot from its own marginal."""
        return draw_block(self._backbone, batch, None)

    def branch(self, batch: DraftBatch) -> MarginalBranches:
        """Every slot's marginal, whatever stands before it: a tree of marginals."""
        return marginal_branches(self._backbone, batch)


def trainable(target: FrozenTarget, recipe: BlockRecipe) -> BlockModel:
    """The same architecture as a module to be trained: a recipe that is causal."""
    return BlockModel(target, recipe)
