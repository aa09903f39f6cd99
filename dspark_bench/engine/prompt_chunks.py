"""How far prompts are read in one cycle (`engine.prefill_tokens`): a long one in chunks.

While a prompt is read over several cycles the others go on decoding, and neither the pass nor its
attention grows with the length of a prompt. Called by the engine at the start of every cycle.
"""

from collections.abc import Sequence

from dspark_bench.engine.state import ActiveRequest


def take_chunks(active: Sequence[ActiveRequest], most: int | None) -> list[ActiveRequest]:
    """The requests that take part in this cycle, in order; sets how much each reads (`chunk`).

    At most `most` prompt tokens are read at once (None: no limit). Whoever was admitted first reads
    first, and the next one what room it leaves; a request left without any sits the cycle out.
    """
    unread = [state for state in active if state.needs_prefill]
    unread.sort(key=lambda state: (state.admitted_s, state.request.request_id))
    room = sum(state.num_unread for state in unread) if most is None else most
    for state in unread:
        state.chunk = min(state.num_unread, room)
        room -= state.chunk
    return [state for state in active if state.chunk > 0 or not state.needs_prefill]
