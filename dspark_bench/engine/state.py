"""What the engine remembers of a running request."""

from dataclasses import dataclass, field

from dspark_bench.core.random_streams import Floats, noise_block
from dspark_bench.core.records import RequestRecord
from dspark_bench.core.types import Request

NOISE_BLOCK = 32


@dataclass(slots=True)
class ActiveRequest:
    """A request that holds a cache row. Mutated by the engine, once per cycle.

    row: of the target's cache, which may change (`row_order`); draft_row: of the drafter's, which
    stays; width: recent mean of what it verifies per cycle;
    context_len: tokens run through the target, which is also the anchor's position;
    anchor: last emitted token, not yet run through the target; -1 before the prompt has been read;
    cycle: in how many cycles it has emitted, so that its random numbers do not depend on how its
    prompt is read; noise: drawn for a block of cycles; chunk: prompt tokens that it reads in this
    cycle (`prompt_chunks`), of no meaning once its prompt has been read.
    """

    request: Request
    row: int
    draft_row: int
    key: int
    scheduled_s: float
    admitted_s: float
    width: float = 0.0
    context_len: int = 0
    anchor: int = -1
    cycle: int = 0
    first_token_s: float = 0.0
    noise: Floats | None = None
    chunk: int = 0
    output: list[int] = field(default_factory=list)
    margins: list[float] = field(default_factory=list)
    tie_limits: list[float] = field(default_factory=list)

    @property
    def needs_prefill(self) -> bool:
        """Whether its prompt has not been read to the end yet."""
        return self.num_unread > 0

    @property
    def num_unread(self) -> int:
        """Prompt tokens not yet run through the target; 0 or less once it decodes."""
        return len(self.request.prompt_tokens) - self.context_len

    @property
    def reads_on(self) -> bool:
        """Whether its prompt goes on behind this cycle's chunk, so that it emits nothing yet."""
        return self.num_unread > self.chunk

    @property
    def num_remaining(self) -> int:
        """Tokens it may still emit."""
        return self.request.max_new_tokens - len(self.output)

    def noise_row(self, num_slots: int) -> Floats:
        """This cycle's random numbers [2K + 1]; draws the next block when the last is used up."""
        place = self.cycle % NOISE_BLOCK
        if place == 0 or self.noise is None:
            self.noise = noise_block(self.key, self.cycle - place, NOISE_BLOCK, num_slots)
        row: Floats = self.noise[place]
        return row

    def finish(self, reason: str, now_s: float) -> RequestRecord:
        """The record of the finished request."""
        return RequestRecord(
            request_id=self.request.request_id,
            prompt_id=self.request.prompt_id,
            domain=self.request.domain,
            num_prompt_tokens=len(self.request.prompt_tokens),
            output_tokens=tuple(self.output),
            finish_reason=reason,
            scheduled_s=self.scheduled_s,
            admitted_s=self.admitted_s,
            first_token_s=self.first_token_s,
            finished_s=now_s,
            margins=tuple(self.margins),
            tie_limits=tuple(self.tie_limits),
        )
