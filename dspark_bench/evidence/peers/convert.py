"""The embedded `ar` as an Eagle3 checkpoint that vLLM reads.

vLLM takes Eagle3 drafters by architecture and by their tensors' names, and which target layers they
read from `eagle_aux_hidden_state_layer_ids`: without that key it takes layers of its own choice in
silence. It counts a layer's input, DeepSpec its output, so its numbers are larger by one. The
confidence head is ours alone and stays behind.
"""

import json
from pathlib import Path
from typing import Final

from safetensors.torch import load_file, save_file

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.draft_config import EAGLE3
from dspark_bench.models.draft_formats.reading import read_draft_config

ARCHITECTURE: Final = "Eagle3Qwen3ForCausalLM"
_LAYER: Final = "layers.0."
_EAGLE_LAYER: Final = "midlayer."
_UNCHANGED: Final = ("fc.weight", "norm.weight", "embed_tokens.weight", "lm_head.weight")
_LEFT_OUT: Final = "confidence_head."
_WEIGHTS: Final = "model.safetensors"


def write_eagle3(source: Path, out: Path) -> None:
    """Write the drafter of DeepSpec's layout in `source` into the folder `out`, which is made.

    Raises CheckpointError for another layout, and for a tensor that Eagle3 has no name for.
    """
    config = read_draft_config(source, EAGLE3)
    if config.target_layer_ids is None:
        raise CheckpointError(f"{source}: a {config.format_name} checkpoint; valid: DeepSpec's")
    tensors = {
        new_name: tensor
        for name, tensor in load_file(source / _WEIGHTS).items()
        if (new_name := eagle3_name(name)) is not None
    }
    data = json.loads((source / "config.json").read_text(encoding="utf-8"))
    data["architectures"] = [ARCHITECTURE]
    data["eagle_aux_hidden_state_layer_ids"] = [layer + 1 for layer in config.target_layer_ids]
    out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out / _WEIGHTS, metadata={"format": "pt"})
    (out / "config.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def eagle3_name(name: str) -> str | None:
    """What Eagle3 checkpoints call this tensor; None for one that they do without.

    Raises CheckpointError for a name that is not known, rather than leave a weight behind.
    """
    if name.startswith(_LEFT_OUT):
        return None
    if name.startswith(_LAYER):
        return _EAGLE_LAYER + name.removeprefix(_LAYER)
    if name in _UNCHANGED:
        return name
    raise CheckpointError(
        f"tensor {name!r} has no name in Eagle3; known: {_LAYER}*, {', '.join(_UNCHANGED)}"
    )
