"""The confidence head: how likely a draft token is to pass, given that those before it did.

c_k = sigmoid(w [h_k; W1 x_{k-1}] + b) (DSpark section 3.3), or without the second part where the
drafter has no Markov table. It never sees x_k, the token that it judges.
"""

import torch
from torch import Tensor

from dspark_bench.models.draft_config import DraftConfig
from dspark_bench.models.kernels.interface import Kernels
from dspark_bench.models.linear import Linear
from dspark_bench.models.named_tensors import Tensors, take


class ConfidenceHead:
    """One linear unit over a slot's hidden state and, where it was trained so, the token before."""

    def __init__(self, config: DraftConfig, tensors: Tensors, kernels: Kernels | None) -> None:
        self._with_markov = config.reads_markov_table
        width = config.model.hidden_size + (config.markov_rank if self._with_markov else 0)
        self._proj = Linear(
            take(tensors, "confidence_head.proj.weight", 1, width),
            take(tensors, "confidence_head.proj.bias", 1),
            kernels,
        )

    def __call__(self, hidden: Tensor, embedded: Tensor | None = None) -> Tensor:
        """hidden [..., D], embedded [..., r] of the previous tokens -> fp32 [...] in 0..1."""
        inputs = hidden
        if self._with_markov:
            if embedded is None:
                raise ValueError("this head also reads the Markov table")
            inputs = torch.cat([hidden, embedded], dim=-1)
        logit: Tensor = self._proj(inputs.reshape(-1, inputs.shape[-1]))
        return torch.sigmoid(logit.float()).view(hidden.shape[:-1])


def load_confidence(
    config: DraftConfig, tensors: Tensors, kernels: Kernels | None
) -> ConfidenceHead | None:
    """The checkpoint's head, None where it has none."""
    return ConfidenceHead(config, tensors, kernels) if config.has_confidence else None
