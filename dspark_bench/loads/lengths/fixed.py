"""`fixed`: every request may produce `max_new_tokens`."""

from dspark_bench.loads.lengths.plan import LengthPlan


class FixedLengths:
    """The cap for everyone."""

    def plan(self, num_requests: int, cap: int) -> LengthPlan:
        """`cap` for each request."""
        return LengthPlan((cap,) * num_requests)
