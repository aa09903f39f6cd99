"""Users who wait for answers: how many requests fall due, and when."""

import re
from collections.abc import Callable

import pytest

from dspark_bench.core.errors import UsageError
from dspark_bench.loads.closed import ClosedLoad
from dspark_bench.loads.ramp_users import RampUsersLoad


def test_without_thinking_an_answer_brings_the_next_request_at_once() -> None:
    load = ClosedLoad(2)
    load.start(5)
    assert load.due(0.0, 0) == 2
    assert load.due(1.0, 0) == 2
    assert load.due(1.5, 1) == 3
    assert load.scheduled_s(2, 1.5) == 1.5
    assert load.due(2.0, 4) == 5
    assert load.next_event_s(2.0, 5) is None


def test_users_think_before_they_send_again() -> None:
    load = ClosedLoad(2, think_s=1.0)
    load.start(4)
    assert load.due(0.0, 0) == 2
    assert load.due(0.5, 1) == 2
    assert load.next_event_s(0.5, 2) == 1.5
    assert load.due(0.75, 2) == 2
    assert load.due(1.6, 2) == 3
    assert load.scheduled_s(2, 1.6) == 1.5
    assert load.next_event_s(1.6, 3) == 1.75
    load.start(1)  # a new run forgets the old one
    assert load.due(0.0, 0) == 1
    assert load.next_event_s(0.0, 1) is None


def test_users_come_one_by_one() -> None:
    load = RampUsersLoad(1, 3, 10.0)
    load.start(10)
    assert [load.users(now) for now in (0.0, 4.9, 5.0, 9.9, 10.0, 99.0)] == [1, 1, 2, 2, 3, 3]
    assert load.due(0.0, 0) == 1
    assert load.next_event_s(0.0, 1) == 5.0
    assert load.next_event_s(5.0, 2) == 10.0
    assert load.next_event_s(10.0, 3) is None
    assert load.due(5.0, 1) == 3
    assert load.max_concurrency == 3


def test_users_leave_after_the_request_at_hand() -> None:
    load = RampUsersLoad(3, 1, 10.0)
    load.start(6)
    assert [load.users(now) for now in (0.0, 0.1, 4.9, 5.0, 9.9, 10.0)] == [3, 3, 3, 2, 2, 1]
    assert load.due(0.0, 0) == 3
    assert load.due(10.0, 0) == 3  # what was sent stays sent
    assert load.due(10.0, 2) == 3
    assert load.due(10.0, 3) == 4
    assert load.next_event_s(5.0, 3) is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ClosedLoad(0), "load.concurrency is 0"),
        (lambda: ClosedLoad(1, -1.0), "load.think_s is -1.0"),
        (lambda: RampUsersLoad(0, 1, 1.0), "load.start_users is 0"),
        (lambda: RampUsersLoad(1, 1, 0.0), "load.duration_s is 0.0"),
    ],
)
def test_bad_values_are_named(make: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        make()
