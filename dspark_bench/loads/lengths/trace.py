"""`trace`: as many tokens as the answers of a recorded trace had.

Prompts stay the workload's: the trace's input lengths are reported, not reproduced.
"""

from pathlib import Path
from statistics import median

from dspark_bench.core.errors import UsageError
from dspark_bench.loads.lengths.plan import LengthPlan, capped
from dspark_bench.loads.trace_files import read_trace


class TraceLengths:
    """Output lengths of the first rows of a trace, in order; its times are not looked at."""

    def __init__(self, path: str | Path | None) -> None:
        """Raises UsageError for a file that cannot be read."""
        if path is None:
            raise UsageError("lengths.path is not given; valid: a trace file, or load=trace")
        self._path = Path(path)
        self._rows = read_trace(self._path, "lengths.path").rows

    def plan(self, num_requests: int, cap: int) -> LengthPlan:
        """Row i's output length for request i. Raises UsageError for more requests than rows."""
        if num_requests > len(self._rows):
            raise UsageError(
                f"num_requests is {num_requests}; valid for {self._path}: 1 to {len(self._rows)}"
            )
        rows = self._rows[:num_requests]
        plan = capped([row.output_tokens for row in rows], cap, "lengths=trace")
        note = (
            "lengths=trace: input lengths of the trace (median "
            f"{median(row.input_tokens for row in rows):g} tokens) are not reproduced; prompts are "
            "the workload's, and answers may end before their length"
        )
        return LengthPlan(plan.tokens, (*plan.notes, note))
