"""Ctrl-C is held back while writing, and never lost."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest

from dspark_bench.commands.interrupts import Interrupts
from dspark_bench.core.errors import Stopped


@pytest.fixture(autouse=True)
def default_handler() -> Iterator[None]:
    """Processes in a shell's background inherit that the signal is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _press(signum: int = signal.SIGINT) -> None:
    os.kill(os.getpid(), signum)


def _write(
    interrupts: Interrupts, done: list[str], num_presses: int, signum: int = signal.SIGINT
) -> None:
    with interrupts.listening():
        with interrupts.held():
            for _ in range(num_presses):
                _press(signum)
            done.append("written")
        done.append("measured on")


def test_it_interrupts_at_once_outside_of_a_write() -> None:
    with Interrupts().listening(), pytest.raises(KeyboardInterrupt):
        _press()


@pytest.mark.parametrize(
    ("num_presses", "written"),
    [(1, ["written"]), (2, ["written"]), (3, [])],
    ids=["once", "twice", "a third time breaks the write off"],
)
def test_a_write_is_finished_first(num_presses: int, written: list[str]) -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        _write(Interrupts(), done, num_presses)
    assert done == written


def test_without_it_nothing_is_raised() -> None:
    done: list[str] = []
    _write(Interrupts(), done, 0)
    assert done == ["written", "measured on"]


def test_one_that_a_callback_swallowed_comes_up_again() -> None:
    interrupts = Interrupts()
    with interrupts.listening(), suppress(KeyboardInterrupt):
        _press()
    with pytest.raises(KeyboardInterrupt):
        interrupts.check()


def test_the_handler_before_is_put_back_and_an_ignored_signal_stays_ignored() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupts().listening():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts().listening():
            _press()
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_batch_systems_and_a_terminals_end_are_held_back_too(name: str, code: int) -> None:
    signum = getattr(signal, name)
    before = signal.signal(signum, signal.SIG_DFL)
    try:
        done: list[str] = []
        with pytest.raises(Stopped) as caught:
            _write(Interrupts(), done, 1, signum)
        assert done == ["written"] and caught.value.exit_code == code
        signal.signal(signum, signal.SIG_IGN)
        with Interrupts().listening():  # under nohup
            os.kill(os.getpid(), signum)
        assert signal.getsignal(signum) == signal.SIG_IGN
    finally:
        signal.signal(signum, before)
