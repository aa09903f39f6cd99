"""What `ar` and `eagle` have in common as files: one layer and its vocabulary."""

from dataclasses import dataclass
from pathlib import Path

from dspark_bench.core.types import DrafterSpec
from dspark_bench.models.checkpoint import StoredTensors, read_tensors
from dspark_bench.models.draft_config import DraftConfig, Layout, check_fits_target, target_layers
from dspark_bench.models.draft_formats.reading import read_draft_config
from dspark_bench.models.kernels.interface import Kernels
from dspark_bench.models.target import LoadedTarget
from dspark_bench.models.vocabulary import Vocabulary, read_vocabulary


@dataclass(frozen=True, slots=True)
class EagleFiles:
    """A checkpoint whose vocabulary has been read, and nothing else yet.

    kernels: what its layer runs on, None for torch.
    """

    directory: Path
    config: DraftConfig
    tensors: StoredTensors
    kernels: Kernels | None
    vocabulary: Vocabulary

    def drafter_spec(self, name: str, target: LoadedTarget, confidence_kind: str) -> DrafterSpec:
        """What such a drafter says of itself."""
        return DrafterSpec(
            name,
            self.config.max_gamma,
            target_layers(self.config, target.config, self.directory),
            has_confidence=True,
            notes=(*self.vocabulary.notes, *self.config.notes),
            can_branch=True,
            confidence_kind=confidence_kind,
        )


def read_eagle_files(path: str | Path, layout: Layout, target: LoadedTarget) -> EagleFiles:
    """Raises CheckpointError for a folder that is of another kind, or does not fit the target."""
    directory = Path(path)
    config = read_draft_config(directory, layout)
    check_fits_target(config, target.config, directory)
    tensors = read_tensors(directory, target.dtype, target.device)
    kernels = target.kernels_for(config.model)
    vocabulary = read_vocabulary(tensors, config, target)
    return EagleFiles(directory, config, tensors, kernels, vocabulary)
