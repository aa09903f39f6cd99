"""Drawing the token of a draft slot: what every drafter does the same way."""

from torch import Tensor

from dspark_bench.core.sampling import sample, token_probs
from dspark_bench.core.types import SamplingParams


def draw(
    logits: Tensor, sampling: SamplingParams, uniform: Tensor, forced: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Tokens [...] and the probabilities [..., V] they were drawn from (None when greedy).

    logits [..., V]; uniform [...] float64; forced [...]: tokens to take instead of drawing.
    """
    if sampling.is_greedy:
        return (logits.argmax(-1) if forced is None else forced), None
    probs = token_probs(logits, sampling)
    if forced is not None:
        return forced, probs
    flat = sample(probs.flatten(0, -2), uniform.reshape(-1))
    return flat.view(logits.shape[:-1]), probs
