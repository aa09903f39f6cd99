"""Each engine's own words for one schedule."""

import json
import shlex
from typing import Any

import pytest

from dspark_bench.export import llamacpp, sglang, trtllm, vllm
from dspark_bench.export.drafter import kind_of
from dspark_bench.export.schedule import Schedule, schedule_of
from tests.export.answers import answer, axis
from tests.export.folders import point

ALL = (vllm, sglang, trtllm, llamacpp)
DRAFTER = "/models/a drafter"


def _schedule(*speeds: tuple[int, int, float], drafter: str = "semi_ar", **values: Any) -> Schedule:
    """speeds: requests at once, gamma and S."""
    rows = [
        point(f"c{load}", speed, gamma=gamma, concurrency=load, drafter=drafter, **values)
        for load, gamma, speed in speeds
    ]
    return schedule_of(axis(*(answer(row, keys={"drafter.path": DRAFTER}) for row in rows)))


def _falling(**values: Any) -> Schedule:
    return _schedule((1, 8, 1.8), (4, 2, 1.3), (16, 2, 0.9), **values)


@pytest.mark.parametrize(
    ("drafter", "method"), [("semi_ar", "dspark"), ("parallel", "dflash"), ("ar", "eagle3")]
)
def test_vllm_takes_inclusive_ranges_and_the_longest_length(drafter: str, method: str) -> None:
    found = vllm.settings(_falling(drafter=drafter))
    assert found.value == {
        "method": method,
        "model": DRAFTER,
        "num_speculative_tokens": 8,
        "num_speculative_tokens_per_batch_size": [[1, 1, 8], [2, 4, 2], [5, 16, 0]],
        "draft_sample_method": "probabilistic",
    }
    flag, text = shlex.split(found.lines[0])
    assert flag == "--speculative-config" and json.loads(text) == found.value
    assert found.lines[1] == "--max-num-seqs 16"


def test_vllm_drafts_greedily_where_that_was_measured() -> None:
    found = vllm.settings(_falling(temperature=0.0))
    assert "draft_sample_method" not in found.value


def test_one_load_gives_one_length_and_no_list() -> None:
    schedule = _schedule((4, 2, 1.3))
    value = vllm.settings(schedule).value
    assert value["num_speculative_tokens"] == 2
    assert "num_speculative_tokens_per_batch_size" not in value
    assert "draft_len_schedule" not in trtllm.settings(schedule).value["speculative_config"]


@pytest.mark.parametrize(
    ("drafter", "decoding"), [("semi_ar", "DSpark"), ("parallel", "DFlash"), ("ar", "Eagle3")]
)
def test_tensorrt_llm_keys_are_the_largest_batch_of_a_length(drafter: str, decoding: str) -> None:
    found = trtllm.settings(_falling(drafter=drafter))
    assert found.value["speculative_config"] == {
        "decoding_type": decoding,
        "max_draft_len": 8,
        "speculative_model": DRAFTER,
        "draft_len_schedule": {"1": 8, "4": 2, "16": 0},
    }
    assert any("whole blocks" in note for note in found.notes) is (drafter == "semi_ar")


def test_tensorrt_llm_has_to_begin_with_the_longest() -> None:
    rising = _schedule((1, 2, 1.3), (4, 8, 1.8))
    found = trtllm.settings(rising)
    assert found.value is None and "2 up to 1, 8 up to 4" in str(found.reason)
    assert vllm.settings(rising).reason is None


@pytest.mark.parametrize(
    ("drafter", "flags"),
    [
        ("semi_ar", "DSPARK --speculative-dspark-block-size 4"),
        ("parallel", "DFLASH --speculative-dflash-block-size 5"),
        (
            "ar",
            "EAGLE3 --speculative-num-steps 4 --speculative-eagle-topk 1 "
            "--speculative-num-draft-tokens 5",
        ),
    ],
)
def test_sglang_counts_each_algorithms_tokens_its_own_way(drafter: str, flags: str) -> None:
    found = sglang.settings(_schedule((4, 4, 1.3), drafter=drafter))
    algorithm, *rest = flags.split()
    expected = ["--speculative-algorithm", algorithm, "--speculative-draft-model-path", DRAFTER]
    assert shlex.split(found.value) == [*expected, *rest, "--max-running-requests", "4"]


@pytest.mark.parametrize(
    ("drafter", "kind"), [("semi_ar", "dspark"), ("parallel", "dflash"), ("ar", "eagle3")]
)
def test_llama_cpp_takes_a_file_and_a_fixed_length(drafter: str, kind: str) -> None:
    found = llamacpp.settings(_schedule((1, 4, 1.3), drafter=drafter))
    assert found.value == (
        f"--spec-type draft-{kind} --spec-draft-model 'a drafter.gguf' --spec-draft-n-max 4 "
        "--spec-draft-p-min 0 --parallel 1"
    )


@pytest.mark.parametrize("engine", [sglang, llamacpp])
def test_one_length_a_server_is_named_for_every_load(engine: Any) -> None:
    found = engine.settings(_falling())
    assert found.value is None and "the loads ask for 8, 2, 0" in str(found.reason)
    assert [line.split("  ")[0] for line in found.lines] == [
        *("1 request at a time", "4 requests at once", "16 requests at once"),
    ]
    assert "(no speculation)" in found.lines[2] and " 8 " in found.lines[0]
    same = engine.settings(_schedule((1, 4, 1.5), (4, 4, 1.2)))
    assert same.value.endswith(" 4") and same.reason is None


@pytest.mark.parametrize("engine", ALL)
def test_no_settings_without_a_gain_or_a_known_drafter(engine: Any) -> None:
    slow = engine.settings(_schedule((1, 4, 0.9), (4, 4, 0.8)))
    assert slow.value is None and "no measured S is clear above 1" in str(slow.reason)
    mine = engine.settings(_schedule((1, 4, 1.5), drafter="mine"))
    assert mine.value is None and "drafter=mine is no method of" in str(mine.reason)


def test_a_drafter_is_known_by_its_class_and_not_by_what_it_is_called() -> None:
    keys = {"drafter._target_": "dspark_bench.drafters.ar.AutoregressiveDrafter"}
    for name, known, expected in (
        ("mine", keys, "ar"),
        ("ar", {"drafter._target_": "mine.Drafter"}, None),
        ("ar", {}, "ar"),
    ):
        made = answer(point("a", 1.5, drafter=name), keys=known).winner.point
        assert kind_of(made) == expected


def _with_keys(drafter: str, **keys: Any) -> Schedule:
    """Drafts of 4 for up to 4 requests, above temperature 0."""
    own = {f"drafter.{name}": value for name, value in keys.items() if name != "acceptance"}
    own |= {"acceptance": keys["acceptance"]} if "acceptance" in keys else {}
    rows = [
        point(f"c{load}", 1.5, gamma=4, concurrency=load, drafter=drafter, temperature=1.0)
        for load in (1, 4)
    ]
    return schedule_of(axis(*(answer(row, keys=own) for row in rows)))


def test_suffix_decoding_keeps_its_keys_in_vllm() -> None:
    keys = {"max_tree_depth": 16, "max_spec_factor": 2.0, "min_token_prob": 0.2}
    expected = {
        "method": "suffix",
        "num_speculative_tokens": 4,
        "num_speculative_tokens_per_batch_size": [[1, 4, 4]],
        "suffix_decoding_max_tree_depth": 16,
        "suffix_decoding_max_spec_factor": 2.0,
        "suffix_decoding_min_token_prob": 0.2,
    }
    found = vllm.settings(_with_keys("suffix", **keys, max_cached_tokens=65_536))
    assert found.value == expected and any("arctic-inference" in note for note in found.notes)
    alone = vllm.settings(_with_keys("suffix", **keys, max_cached_tokens=0))
    assert alone.value == expected | {"suffix_decoding_max_cached_requests": 0}
    for engine in (sglang, trtllm, llamacpp):
        reason = str(engine.settings(_with_keys("suffix")).reason)
        assert reason.startswith("drafter=suffix is no method of") and ": it" in reason


def test_look_up_says_what_lengths_are_looked_up() -> None:
    schedule = _with_keys("ngram", n_min=2, n_max=5)
    value = vllm.settings(schedule).value
    assert (value["method"], value["prompt_lookup_min"], value["prompt_lookup_max"]) == (
        *("ngram", 2, 5),
    )
    assert "model" not in value and "draft_sample_method" not in value
    config = trtllm.settings(schedule).value["speculative_config"]
    assert (config["decoding_type"], config["max_matching_ngram_size"]) == ("NGram", 5)
    assert "speculative_model" not in config
    assert llamacpp.settings(schedule).value == (
        "--spec-type ngram-simple --spec-ngram-simple-size-n 5 --spec-ngram-simple-size-m 4 "
        "--parallel 4"
    )
    assert "no look-up of the last match" in str(sglang.settings(schedule).reason)


def test_a_draft_model_is_a_method_of_all_four() -> None:
    schedule = _with_keys("draft_model", path=DRAFTER)
    value = vllm.settings(schedule).value
    assert (value["method"], value["model"]) == ("draft_model", DRAFTER)
    assert value["draft_sample_method"] == "probabilistic"
    config = trtllm.settings(schedule).value["speculative_config"]
    assert (config["decoding_type"], config["speculative_model"]) == ("Draft_Target", DRAFTER)
    assert shlex.split(sglang.settings(schedule).value)[1:10] == [
        *("STANDALONE", "--speculative-draft-model-path", DRAFTER),
        *("--speculative-num-steps", "4", "--speculative-eagle-topk", "1"),
        *("--speculative-num-draft-tokens", "5"),
    ]
    assert "--spec-type draft-simple --spec-draft-model 'a drafter.gguf'" in str(
        llamacpp.settings(schedule).value
    )


def test_a_module_of_the_targets_own_is_not_named() -> None:
    schedule = _with_keys("mtp", path=DRAFTER)
    assert "model" not in vllm.settings(schedule).value
    assert "speculative_model" not in trtllm.settings(schedule).value["speculative_config"]
    for engine, method in ((sglang, "NEXTN"), (llamacpp, "draft-mtp")):
        found = engine.settings(schedule)
        assert method in found.value and "drafter" not in found.value
        assert any("own checkpoint" in n or "its module" in n for n in found.notes)


@pytest.mark.parametrize("engine", ALL)
@pytest.mark.parametrize(
    ("drafter", "why"),
    [
        ("hydra", "no engine reads Hydra's heads"),
        ("layer_skip", "no engine drafts with the target's own first layers"),
        ("jetspec", "which its configuration cannot say"),
    ],
)
def test_what_no_engine_has_says_why(engine: Any, drafter: str, why: str) -> None:
    found = engine.settings(_with_keys(drafter))
    assert found.value is None and str(found.reason).endswith(why)


def test_block_verification_is_vllms() -> None:
    schedule = _with_keys("semi_ar", path=DRAFTER, acceptance="block")
    assert vllm.settings(schedule).value["rejection_sample_method"] == "block"
    plain = vllm.settings(_with_keys("semi_ar", path=DRAFTER, acceptance="exact"))
    assert "rejection_sample_method" not in plain.value
    for engine in (sglang, trtllm, llamacpp):
        assert "does not verify blocks" in str(engine.settings(schedule).reason)
