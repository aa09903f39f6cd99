"""The threads that share a compiled call."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any

import numpy as np
import torch

from dspark_bench.models.kernels.gate import GATE_SIZE, GIVEN_UP

LEAST_BYTES = 256 * 1024
"""Weights of a call below which starting threads takes longer than they save."""


class Team:
    """As many threads as torch has, one call at a time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._made_for = (0, 0)

    def run(self, kernel: Callable[..., None], *arguments: Any, num_bytes: int) -> None:
        """Call `kernel(*arguments, gate, part, num_parts)` for every part, at the same time.

        num_bytes: of the weights that it reads.
        """
        num_parts = torch.get_num_threads() if num_bytes >= LEAST_BYTES else 1
        gate = np.zeros(GATE_SIZE, np.int64)
        if num_parts == 1:
            kernel(*arguments, gate, 0, 1)
            return
        with self._lock:
            pool = self._threads(num_parts - 1)
            others: list[Future[None]] = []
            try:
                for part in range(1, num_parts):
                    others.append(pool.submit(_run_part, kernel, arguments, gate, part, num_parts))
                _run_part(kernel, arguments, gate, 0, num_parts)
            except BaseException:  # Ctrl-C between two of them
                gate[GIVEN_UP] = 1
                raise
            finally:
                for other in others:
                    other.result()

    def _threads(self, count: int) -> ThreadPoolExecutor:
        """The pool; a new one for another count, and in a forked process, which has no threads."""
        if self._pool is None or self._made_for != (count, os.getpid()):
            self._pool = ThreadPoolExecutor(count, thread_name_prefix="kernels")
            self._made_for = (count, os.getpid())
        return self._pool


def _run_part(
    kernel: Callable[..., None],
    arguments: Sequence[Any],
    gate: np.ndarray,
    part: int,
    num_parts: int,
) -> None:
    try:
        kernel(*arguments, gate, part, num_parts)
    except BaseException:  # nobody may wait for a part that does not come
        gate[GIVEN_UP] = 1
        raise
