"""Which files of a model's folder are read here, by patterns of their names."""

from fnmatch import fnmatch
from typing import Final

SETTINGS: Final = (
    *("config*.json", "generation_config.json", "tokenizer*.json", "tokenizer.model"),
    *("special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt"),
    *("chat_template.jinja", "chat_template.json", "manifest.json", "calibration.json"),
)
"""Of a model and its tokenizer; the last two are this project's."""
SAFETENSORS: Final = ("*.safetensors", "*.safetensors.index.json")
PICKLED: Final = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt", "*.bin.index.json")
"""Pickled weights: reading one the plain way may run code."""
NO_WEIGHTS: Final = (
    *("training_args.*", "optimizer*", "scheduler*", "rng_state*", "scaler.*", "tokenizer.bin"),
)
"""Pickled files that trainers leave beside the weights, and a tokenizer's."""
ELSEWHERE: Final = ("*/*", "consolidated*")
"""What repositories hold besides: folders of other programs' files, and a second copy of the
weights under their maker's own names.
"""


def is_settings(name: str) -> bool:
    """Whether a file says something of a model besides its weights."""
    return _fits(name, SETTINGS)


def is_pickled_weights(name: str) -> bool:
    """Whether a file may hold pickled weights, or is the index of such files."""
    return _fits(name, PICKLED) and not _fits(name, (*NO_WEIGHTS, *ELSEWHERE))


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)
