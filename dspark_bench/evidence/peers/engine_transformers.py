"""transformers as a peer: `generate`, and assisted generation by prompt lookup.

A batch is padded on the left and runs until its last row has ended; assisted generation serves one
prompt at a time, as it always does.
"""

from collections.abc import Callable
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM


def start(
    settings: dict[str, Any],
) -> tuple[dict[str, str], Callable[[list[list[int]]], list[list[int]]]]:
    """The target; `gamma` tokens are looked up in the prompt where `is_lookup` says so."""
    torch.set_num_threads(settings["threads"])
    model = AutoModelForCausalLM.from_pretrained(settings["target"], dtype=torch.float32).eval()
    model.generation_config.do_sample = False
    batch, eos = settings["batch"], int(model.generation_config.eos_token_id)
    options: dict[str, Any] = {"max_new_tokens": settings["new_tokens"]}
    if settings["is_lookup"]:
        options["prompt_lookup_num_tokens"] = settings["gamma"]

    @torch.inference_mode()
    def serve(prompts: list[list[int]]) -> list[list[int]]:
        found: list[list[int]] = []
        for first in range(0, len(prompts), batch):
            rows = prompts[first : first + batch]
            width = max(map(len, rows))
            ids = torch.tensor([[eos] * (width - len(row)) + row for row in rows])
            mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
            out = model.generate(ids, attention_mask=mask, **options)
            found += [until_end(row, eos) for row in out[:, width:].tolist()]
        return found

    return {"transformers": transformers.__version__, "torch": torch.__version__}, serve


def until_end(tokens: list[int], eos: int) -> list[int]:
    """Up to the first end of sequence, which is kept; what follows is padding."""
    return tokens[: tokens.index(eos) + 1] if eos in tokens else tokens
