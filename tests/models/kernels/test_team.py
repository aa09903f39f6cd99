"""Threads that share a call: everybody runs, nobody is left waiting."""

import numpy as np
import pytest
import torch

from dspark_bench.models.kernels import team as module
from dspark_bench.models.kernels.compiler import compiled
from dspark_bench.models.kernels.team import Team
from dspark_bench.models.kernels.teamwork import wait


@compiled
def chain(table, gate, part, num_parts):  # type: ignore[no-untyped-def]
    """Row k is made of every entry of row k - 1, whoever wrote it."""
    for row in range(1, table.shape[0]):
        for column in range(part, table.shape[1], num_parts):
            total = 0
            for other in range(table.shape[1]):
                total += table[row - 1, other]
            table[row, column] = total % 1000 + 1
        wait(gate, num_parts)


def run_chain(team: Team, num_bytes: int = 1 << 30) -> np.ndarray:
    table = np.zeros((400, 7), np.int64)
    table[0] = range(7)
    team.run(chain, table, num_bytes=num_bytes)
    return table


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)


def test_a_phase_begins_when_the_last_one_is_over(threads: None) -> None:
    wanted = np.zeros((400, 7), np.int64)
    wanted[0] = range(7)
    for row in range(1, 400):
        wanted[row] = wanted[row - 1].sum() % 1000 + 1
    team = Team()
    for _ in range(20):
        assert np.array_equal(run_chain(team), wanted)


def test_small_calls_stay_where_they_are(threads: None) -> None:
    team = Team()
    run_chain(team, module.LEAST_BYTES - 1)
    assert team._pool is None
    run_chain(team, module.LEAST_BYTES)
    assert team._pool is not None


@pytest.mark.parametrize("failing", [0, 2])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_after_an_exception_nobody_waits(
    threads: None, error: type[BaseException], failing: int
) -> None:
    def interrupted(table: np.ndarray, gate: np.ndarray, part: int, num_parts: int) -> None:
        if part == failing:
            raise error
        wait(gate, num_parts)

    team = Team()
    with pytest.raises(error):
        team.run(interrupted, np.zeros(1), num_bytes=1 << 30)
    assert run_chain(team)[-1, 0] > 0


def test_another_number_of_threads_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    team, seen = Team(), list[int]()

    def count(table: np.ndarray, gate: np.ndarray, part: int, num_parts: int) -> None:
        seen.append(num_parts)

    for number in (1, 2, 4, 2):
        monkeypatch.setattr(torch, "get_num_threads", lambda number=number: number)
        team.run(count, np.zeros(1), num_bytes=1 << 30)
    assert seen == [1, 2, 2, 4, 4, 4, 4, 2, 2]
