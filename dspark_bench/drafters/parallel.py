"""`parallel`: DFlash. All slots in one pass, each drawn without knowing the others.

Strong at the first position, weaker further on: slot k knows the context but not x_1..x_{k-1}.
"""

from pathlib import Path

from dspark_bench.core.types import ContextUpdate, DraftBatch, DrafterSpec, Proposal
from dspark_bench.drafters.slot_sampling import draw
from dspark_bench.models.block_backbone import BlockBackbone
from dspark_bench.models.target import TargetModel
from dspark_bench.training.block_model import BlockModel, BlockRecipe
from dspark_bench.training.target_features import FrozenTarget


class ParallelDrafter:
    """Reads a DFlash checkpoint (or a DSpark one, ignoring its heads)."""

    def __init__(self, path: str | Path, target: TargetModel) -> None:
        self._backbone, _ = BlockBackbone.load(Path(path), target)
        config = self._backbone.config
        self.spec = DrafterSpec("parallel", config.max_gamma, config.target_layer_ids, False)

    def allocate(self, num_rows: int, max_len: int) -> None:
        """Reserve the context cache."""
        self._backbone.allocate(num_rows, max_len)

    def extend(self, update: ContextUpdate) -> None:
        """Inject newly committed tokens."""
        self._backbone.extend(update)

    def propose(self, batch: DraftBatch) -> Proposal:
        """Draw every slot from its own marginal."""
        logits = self._backbone.logits(self._backbone.forward(batch))
        tokens, probs = draw(logits, batch.sampling, batch.uniform, batch.forced)
        return Proposal(tokens, probs, None)


def trainable(target: FrozenTarget, recipe: BlockRecipe) -> BlockModel:
    """The same architecture as a module to be trained: no Markov head, no confidence head."""
    return BlockModel(target, recipe)
