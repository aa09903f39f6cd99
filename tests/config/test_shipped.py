"""Which shipped checkpoint a null path means: the one whose manifest names the target."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dspark_bench.config.compose import Composed, compose_point, hydra_session
from dspark_bench.config.point_config import ZOO, PointConfig, to_point_config
from dspark_bench.config.shipped import DRAFTERS, shipped_checkpoint, shipped_targets
from dspark_bench.config.validate import check_point
from dspark_bench.core.errors import CheckpointError, UsageError
from dspark_bench.models.checkpoint import content_hash
from tests import tiny_models
from tests.tiny_models import TinyZoo


@pytest.fixture
def shipped(tiny_zoo: TinyZoo, tmp_path: Path) -> Path:
    """`semi_ar` for the embedded target and for one called `tiny`."""
    root = tmp_path / "drafters"
    shutil.copytree(DRAFTERS / "semi_ar", root / "semi_ar")
    shutil.copytree(tiny_zoo.semi_ar, root / "tiny" / "semi_ar")
    named = {"target_hash": content_hash(tiny_zoo.target)}
    (root / "tiny" / "semi_ar" / "manifest.json").write_text(json.dumps(named))
    return root


def test_each_target_finds_its_own(shipped: Path, tiny_zoo: TinyZoo) -> None:
    assert shipped_checkpoint("semi_ar", tiny_zoo.target, shipped) == shipped / "tiny" / "semi_ar"
    assert shipped_checkpoint("semi_ar", ZOO / "target", shipped) == shipped / "semi_ar"
    assert shipped_targets("semi_ar", shipped) == ("zoo", "tiny")
    assert shipped_checkpoint("ar", tiny_zoo.target, shipped) is None
    assert shipped_targets("ar", shipped) == ()


def test_a_copy_of_the_target_finds_it_and_another_of_its_shape_does_not(
    shipped: Path, tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(tiny_zoo.target, tmp_path / "copy"))
    assert shipped_checkpoint("semi_ar", copy, shipped) == shipped / "tiny" / "semi_ar"
    tiny_models.write_target(copy, seed=7)
    assert shipped_checkpoint("semi_ar", copy, shipped) is None
    assert shipped_checkpoint("semi_ar", tmp_path / "absent", shipped) is None


def test_a_config_that_says_nothing_of_the_targets_shape_is_found_by_the_hash(
    shipped: Path, tiny_zoo: TinyZoo
) -> None:
    (shipped / "tiny" / "semi_ar" / "config.json").write_text('{"transformer_layer_config": {}}')
    assert shipped_checkpoint("semi_ar", tiny_zoo.target, shipped) == shipped / "tiny" / "semi_ar"
    assert shipped_checkpoint("semi_ar", ZOO / "target", shipped) == shipped / "semi_ar"


def test_the_embedded_drafters_are_found_for_the_embedded_target() -> None:
    for option in ("semi_ar", "semi_ar_gated", "semi_ar_rnn", "parallel", "ar"):
        assert shipped_checkpoint(option, ZOO / "target") == DRAFTERS / option
        is_of_both = option in ("semi_ar", "parallel", "ar")
        assert shipped_targets(option) == (("zoo", "smollm2") if is_of_both else ("zoo",))


def composed(*overrides: str) -> PointConfig:
    with hydra_session():
        return to_point_config(compose_point(overrides), "test")


def test_another_target_is_told_which_ones_have_a_checkpoint(tiny_zoo: TinyZoo) -> None:
    point = composed(f"target.path={tiny_zoo.target}", "drafter=parallel")
    assert point.drafter_dir is None
    with pytest.raises(CheckpointError) as caught:
        check_point(point)
    said = str(caught.value)
    assert said.startswith(f"drafter=parallel has no checkpoint for the target {tiny_zoo.target};")
    valid = "valid: drafter.path=FOLDER, or drafter=ngram"
    assert f"shipped are those for target=zoo, smollm2; {valid}" in said


def test_a_target_that_is_no_model_is_the_first_mistake(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint directory at"):
        check_point(composed(f"target.path={tmp_path / 'absent'}"))


def test_an_option_of_a_users_own_is_not_shipped() -> None:
    with hydra_session():
        found = compose_point(["drafter=semi_ar"])
    renamed = Composed(found.values, found.choices | {"drafter": "mine"})
    with pytest.raises(CheckpointError, match=r"drafter=mine has no checkpoint .* none is shipped"):
        check_point(to_point_config(renamed, "test"))


def test_a_users_class_makes_of_null_what_it_likes() -> None:
    with hydra_session():
        found = compose_point(["drafter=semi_ar"])
    values: dict[str, Any] = found.values | {
        "drafter": {"_target_": "tests.plugins.UniformDrafter", "max_gamma": 8, "path": None}
    }
    point = to_point_config(Composed(values, found.choices | {"drafter": "mine"}), "test")
    assert point.drafter.arguments["path"] is None
    check_point(point)


def test_look_up_fits_any_target_and_has_no_checkpoint(tiny_zoo: TinyZoo) -> None:
    point = composed(f"target.path={tiny_zoo.target}", "drafter=ngram", "gamma=40")
    assert point.drafter_dir is None
    check_point(point)
    with pytest.raises(UsageError, match=r"drafter=ngram reads no checkpoint, so drafter\.path="):
        check_point(composed("drafter=ngram", f"+drafter.path={tiny_zoo.semi_ar}"))
