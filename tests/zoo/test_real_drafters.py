"""The shipped drafters of a real model, as far as they can be judged without it."""

import json
from typing import Any

import pytest

from dspark_bench.config.point_config import ZOO
from dspark_bench.config.shipped import shipped_targets
from dspark_bench.models.config_values import read_json
from dspark_bench.models.drafter_files import check_drafter_files, kind_of, read_drafter_config

FOLDER = ZOO / "drafters" / "smollm2"
NAMES = ("semi_ar", "parallel", "ar")


def manifest_of(name: str) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((FOLDER / name / "manifest.json").read_text())
    return manifest


@pytest.mark.parametrize("name", NAMES)
def test_files_are_whole_and_draft_a_part_of_the_vocabulary(name: str) -> None:
    kind = kind_of(read_json(FOLDER / name / "config.json"))
    assert kind is not None and kind.layout.drafter == name
    config = read_drafter_config(FOLDER / name, kind.layout)
    check_drafter_files(FOLDER / name, config)
    assert config.max_gamma == 16
    assert manifest_of(name)["draft_vocab_size"] == 8192
    assert "smollm2" in shipped_targets(name)


def test_the_three_were_trained_alike() -> None:
    manifests = [manifest_of(name) for name in NAMES]
    alike = ("recipe", "seed", "batch_size", "sequences_seen", "answers", "target_hash", "corpus")
    for key in (*alike, "trained_beside", "draft_vocab_size"):
        assert len({json.dumps(manifest[key]) for manifest in manifests}) == 1, key


def test_each_position_is_worth_something_and_the_first_most() -> None:
    for name in NAMES:
        for domain, curve in manifest_of(name)["held_out_agreement_by_position"].items():
            assert len(curve) == 16, domain
            assert curve[0] == max(curve) and min(curve) > 0
