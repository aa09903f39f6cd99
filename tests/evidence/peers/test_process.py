"""The pipes between the bench and a worker, with a tiny engine at their end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from dspark_bench.evidence.peers import worker
from dspark_bench.evidence.peers.process import Launch, PeerError, Worker

ENGINE = Path(__file__).with_name("tiny_engine.py")
LIMIT_S = 60.0


def launch(folder: Path) -> Launch:
    return Launch("tiny", "tiny", Path(sys.executable), ENGINE, folder, {"TINY": "1"})


def open_worker(folder: Path, **settings: Any) -> Worker:
    return Worker(launch(folder), {"batch": 8, **settings}, LIMIT_S)


def test_a_worker_serves_turn_after_turn_and_its_own_words_go_to_its_log(tmp_path: Path) -> None:
    with open_worker(tmp_path) as tiny:
        assert tiny.facts["tiny"] == "8"
        first = tiny.serve([[1, 2], [3]], LIMIT_S)
        second = tiny.serve([[4, 5, 6]], LIMIT_S)
    assert (first.tokens, first.num_tokens) == (((2, 1), (3,)), 3)
    assert second.tokens == ((6, 5, 4),) and second.seconds > 0
    log = (tmp_path / "tiny.log").read_text()
    assert "words on the way in" in log and log.count("words in a turn") == 2


def test_processor_time_is_that_of_the_turn_with_children(tmp_path: Path) -> None:
    with open_worker(tmp_path) as tiny:
        started_s = tiny.cpu_s()
        answer = tiny.serve([[3]], LIMIT_S)
        assert answer.cpu_s >= 0.19  # its child works for 0.2 s, and lives on
        assert tiny.cpu_s() == pytest.approx(started_s + answer.cpu_s)


def test_a_worker_sleeps_while_it_is_not_asked_and_ends_with_its_children(tmp_path: Path) -> None:
    with open_worker(tmp_path, has_child=True) as tiny:
        process = psutil.Process(int(tiny.facts["pid"]))
        family = [process, *process.children()]
        assert len(family) == 2
        assert is_soon(lambda: [one.status() for one in family], [psutil.STATUS_STOPPED] * 2)
        tiny.serve([[4, 5]], LIMIT_S)
        assert is_soon(lambda: [one.status() for one in family], [psutil.STATUS_STOPPED] * 2)
    assert is_soon(lambda: [alive(one) for one in family], [False, False])


@pytest.mark.parametrize(
    ("prompt", "limit_s", "why"),
    [
        (0, LIMIT_S, "it ended without an answer"),
        (4, LIMIT_S, "it ended without an answer"),
        (1, LIMIT_S, "ValueError: prompt too short"),
        (2, 0.5, "no answer within 0.5 s"),
    ],
)
def test_a_worker_that_fails_in_a_turn_is_one_line(
    tmp_path: Path, prompt: int, limit_s: float, why: str
) -> None:
    with open_worker(tmp_path) as tiny, pytest.raises(PeerError) as error:
        tiny.serve([[prompt]], limit_s)
    assert str(error.value) == f"tiny: {why} (log: {tmp_path / 'tiny.log'})"


def test_an_engine_that_cannot_start_says_why_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(PeerError) as error:
        open_worker(tmp_path, cannot_start=True)
    assert str(error.value) == f"tiny: OSError: no such model (log: {tmp_path / 'tiny.log'})"


def test_workers_end_when_the_bench_is_killed(tmp_path: Path) -> None:
    """They are asleep then: only the system can wake them."""
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\n"
        "from tests.evidence.peers.test_process import open_worker\n"
        "print(open_worker(Path(sys.argv[2])).facts['pid'], flush=True); time.sleep(600)\n"
    )
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", code, str(root), str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as bench:
        assert bench.stdout is not None
        process = psutil.Process(int(bench.stdout.readline()))
        asleep = is_soon(process.status, psutil.STATUS_STOPPED)
        bench.send_signal(signal.SIGKILL)
    has_ended = is_soon(lambda: alive(process), False)
    if not has_ended:
        process.kill()
    assert asleep and has_ended


def test_what_runs_in_another_environment_imports_nothing_of_the_project() -> None:
    folder = Path(worker.__file__).parent
    for name in ("worker.py", "engine_vllm.py"):
        assert "dspark_bench" not in (folder / name).read_text(encoding="utf-8")
    alone = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"import runpy; runpy.run_path({str(folder / 'worker.py')!r})",
    ]
    assert subprocess.run(alone, cwd=folder, check=False, env=dict(os.environ)).returncode == 0


def alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def is_soon(what: Any, wanted: Any) -> bool:
    """Whether it becomes so while one waits."""
    end_s = time.monotonic() + 30
    while time.monotonic() < end_s:
        if what() == wanted:
            return True
        time.sleep(0.02)
    return False
