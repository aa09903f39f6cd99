"""Shape of a drafter that is made of heads on its target's last hidden state: Medusa, Hydra.

Head i (0-based) reads the state h_t behind the final norm, which gives the target's own law of
token t + 1, and drafts token t + 2 + i. Its blocks are x + silu(W x + b); a grounded head's first
block also reads the embeddings of tokens t + 1 .. t + 1 + i, so it narrows its input and has a
second matrix in place of the residual. The matrix over the vocabulary is a head's own, one for all,
or the target's. Shapes are those of the tensors: configurations of released files say otherwise.
"""

from dataclasses import dataclass
from pathlib import Path

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.config import TargetShape
from dspark_bench.models.draft_config import Layout
from dspark_bench.models.expected_tensors import Expected

TOKEN_MAP = "token_map"
"""The target's tokens [U] that the logits of a reduced vocabulary are for."""


@dataclass(frozen=True, slots=True)
class HeadNames:
    """Of tensors, without `.weight` and `.bias`, with {head} and {block} to be filled in.

    residual: of the second matrix of a grounded head's first block.
    """

    block: str
    lm_head: str
    residual: str = ""

    def of_block(self, head: int, block: int) -> str:
        """A block's matrix."""
        return self.block.format(head=head, block=block)

    def of_residual(self, head: int) -> str:
        """A first block's second matrix."""
        return self.residual.format(head=head, block=0)

    def of_lm_head(self, head: int) -> str:
        """What is over the vocabulary."""
        return self.lm_head.format(head=head)


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """A drafter of heads.

    num_blocks: of each head; vocab_size: rows of its own heads, None where they are the target's;
    draft_vocab_size: tokens that it can draft, None for all; is_grounded: whether a head reads the
    tokens before the one that it drafts; has_block_bias, has_head_bias: as the files have it; said:
    what the configuration says otherwise than the files.
    """

    format_name: str
    layout: Layout
    num_heads: int
    num_blocks: int
    hidden_size: int
    vocab_size: int | None
    draft_vocab_size: int | None
    names: HeadNames
    is_grounded: bool
    has_block_bias: bool
    has_head_bias: bool
    said: str | None = None

    @property
    def max_gamma(self) -> int:
        """A head for each drafted token."""
        return self.num_heads

    @property
    def has_confidence(self) -> bool:
        """Nothing estimates what will be accepted."""
        return False

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of its figures must know."""
        return () if self.said is None else (self.said,)

    def input_size(self, head: int) -> int:
        """Width of what a head's first block reads."""
        return self.hidden_size * (head + 2 if self.is_grounded else 1)


def head_tensors(config: HeadConfig) -> Expected:
    """What the files must hold."""
    hidden = config.hidden_size
    shapes: dict[str, tuple[int, ...]] = {}
    for head in range(config.num_heads):
        for block in range(config.num_blocks):
            width = config.input_size(head) if block == 0 else hidden
            name = config.names.of_block(head, block)
            shapes |= _matrix(name, hidden, width, config.has_block_bias)
        if config.is_grounded:
            name = config.names.of_residual(head)
            shapes |= _matrix(name, hidden, config.input_size(head), config.has_block_bias)
        if config.vocab_size is not None:
            name = config.names.of_lm_head(head)
            shapes |= _matrix(name, config.vocab_size, hidden, config.has_head_bias)
    if config.draft_vocab_size is None:
        return Expected(shapes)
    return Expected(shapes | {TOKEN_MAP: (config.draft_vocab_size,)}, tables=frozenset({TOKEN_MAP}))


def _matrix(name: str, rows: int, width: int, has_bias: bool) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {f"{name}.weight": (rows, width)}
    if has_bias:
        shapes[f"{name}.bias"] = (rows,)
    return shapes


def check_heads_fit(config: HeadConfig, target: TargetShape, source: Path) -> None:
    """Raise CheckpointError if the heads were made for another target shape."""
    sizes = {"hidden_size": (config.hidden_size, target.hidden_size)}
    if config.vocab_size is not None and config.draft_vocab_size is None:
        sizes["vocab_size"] = (config.vocab_size, target.vocab_size)
    for name, (ours, theirs) in sizes.items():
        if ours != theirs:
            raise CheckpointError(
                f"{source}: drafter has {name} {ours}, its target {theirs}; they must be equal"
            )
