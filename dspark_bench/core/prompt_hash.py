"""What a prompt is known by where its words are not kept."""

import hashlib
from collections.abc import Sequence


def prompt_hash(tokens: Sequence[int]) -> str:
    """16 hex digits over a prompt's token ids."""
    text = ",".join(map(str, tokens))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
