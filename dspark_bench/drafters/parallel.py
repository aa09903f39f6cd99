"""`parallel`: DFlash. All slots in one pass, each drawn without knowing the others.

Strong at the first position, weaker further on: slot k knows the context but not x_1..x_{k-1}.
"""

from pathlib import Path
from typing import Final

from dspark_bench.core.types import ContextUpdate, DraftBatch, DrafterSpec, Proposal
from dspark_bench.drafters.branching import MarginalBranches, marginal_branches
from dspark_bench.drafters.slot_sampling import confidence_kind, draw_block
from dspark_bench.models.block_backbone import BlockBackbone
from dspark_bench.models.checkpoint import check_all_read
from dspark_bench.models.confidence_head import load_confidence
from dspark_bench.models.draft_config import DFLASH
from dspark_bench.models.target import LoadedTarget
from dspark_bench.training.block_model import BlockModel, BlockRecipe
from dspark_bench.training.target_features import FrozenTarget


class ParallelDrafter:
    """Reads a DFlash checkpoint."""

    READS: Final = DFLASH
    """The kind of checkpoint."""

    def __init__(self, path: str | Path, target: LoadedTarget) -> None:
        directory = Path(path)
        self._backbone, tensors = BlockBackbone.load(directory, target, DFLASH)
        config = self._backbone.config
        self._confidence = load_confidence(config, tensors, self._backbone.kernels)
        check_all_read(tensors, directory)
        self.spec = DrafterSpec(
            "parallel",
            config.max_gamma,
            self._backbone.feature_layers,
            has_confidence=True,
            notes=self._backbone.notes,
            can_branch=True,
            confidence_kind=confidence_kind(config.has_confidence),
        )

    def allocate(self, num_rows: int, max_len: int) -> None:
        """Reserve the context cache."""
        self._backbone.allocate(num_rows, max_len)

    def extend(self, update: ContextUpdate) -> None:
        """Inject newly committed tokens."""
        self._backbone.extend(update)

    def propose(self, batch: DraftBatch) -> Proposal:
        """Draw every slot from its own marginal."""
        return draw_block(self._backbone, batch, self._confidence)

    def branch(self, batch: DraftBatch) -> MarginalBranches:
        """Every slot's marginal, whatever stands before it: a tree of marginals."""
        return marginal_branches(self._backbone, batch)


def trainable(target: FrozenTarget, recipe: BlockRecipe) -> BlockModel:
    """The same architecture as a module to be trained: no Markov head."""
    return BlockModel(target, recipe)
