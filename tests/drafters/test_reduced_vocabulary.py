"""Drafters of a part of the vocabulary, with the rows of their target's head: what was trained is
what runs, and the target's output stays what it is.
"""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

import pytest
import torch
from safetensors.torch import load_file

from dspark_bench.core.errors import CheckpointError, UsageError
from dspark_bench.core.protocols import Drafter
from dspark_bench.core.types import DraftBatch, SamplingParams
from dspark_bench.engine.match_acceptance import MatchAcceptance
from dspark_bench.engine.tree_drafts import TreeDrafts
from dspark_bench.models.checkpoint import WEIGHTS, read_tensors, write_checkpoint
from dspark_bench.models.draft_formats.conversion import convert
from dspark_bench.training.drafter_batch import TrainableDrafter
from dspark_bench.training.drafter_trainer import save_drafter
from dspark_bench.training.target_features import FrozenTarget
from dspark_bench.trees.best_first import BestFirstTree
from dspark_bench.trees.static import StaticTree
from tests import tiny, tiny_families
from tests.drafters.test_checkpoints import CLASSES, check_drafts

FAMILY: Final = "llama-yarn"
DRAFTED: Final = tuple(range(20)) + tuple(range(40, 60, 2))


@cache
def teacher() -> FrozenTarget:
    whole = FrozenTarget(tiny_families.folder(FAMILY), tiny.CPU)
    return whole.drafting(torch.tensor(DRAFTED))


def model(name: str) -> TrainableDrafter:
    return tiny.trainable(name, teacher())


@cache
def saved(name: str) -> Path:
    path = tiny.root() / f"reduced-{name}"
    save_drafter(model(name), teacher(), tiny_families.folder(FAMILY), path, {})
    return path


def loaded(name: str, path: Path | None = None) -> Drafter:
    drafter: Drafter = CLASSES[name](path or saved(name), tiny_families.target(FAMILY))
    return drafter


@pytest.mark.parametrize("name", CLASSES)
def test_it_drafts_what_was_trained(name: str) -> None:
    """Probabilities are the target's tokens', 0 for those that cannot be drafted."""
    check_drafts(model(name), teacher(), saved(name), loaded(name))


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("gamma", [1, 5])
def test_greedy_output_is_the_targets(name: str, gamma: int) -> None:
    target, requests = tiny_families.target(FAMILY), tiny.requests(6)
    plain = tiny.outputs(tiny.serve(requests, None, temperature=0, model=target))
    assert {t for output in plain.values() for t in output} - set(DRAFTED)
    result = tiny.serve(requests, loaded(name), gamma, 3, temperature=0, model=target)
    assert tiny.outputs(result) == plain
    assert sum(cycle.num_drafted for cycle in result.cycles) > 0


@pytest.mark.parametrize("name", ["parallel", "semi_ar_gated"])
def test_a_tree_is_of_the_targets_tokens(name: str) -> None:
    """Its first nodes are the likeliest of a chain's first slot, which says the target's tokens."""
    target, requests = tiny_families.target(FAMILY), tiny.requests(6)
    drafter = loaded(name)
    drafter.allocate(1, 16)
    batch = DraftBatch(
        rows=(0,),
        context_lens=(0,),
        anchors=torch.tensor([5]),
        draft_lens=(2,),
        sampling=SamplingParams(),
        uniform=torch.zeros(1, 2, dtype=torch.float64),
    )
    with torch.inference_mode():
        probs = drafter.propose(batch).probs
        assert probs is not None
        shape = StaticTree([[place] for place in range(len(DRAFTED))] + [[3, 0]])
        tree = TreeDrafts(drafter, shape).propose(batch)
        forced = replace(batch, forced=torch.tensor([[int(tree.token_ids[0, 3]), 0]]))
        behind = drafter.propose(forced).probs
    assert behind is not None
    *first, second = tree.token_ids[0].tolist()
    assert first == sorted(DRAFTED, key=lambda token: -float(probs[0, 0, token]))
    assert second == int(behind[0, 1].argmax())
    plain = tiny.outputs(tiny.serve(requests, None, temperature=0, model=target))
    grown = TreeDrafts(drafter, BestFirstTree(40))
    found = tiny.serve(requests, grown, 3, 3, 0, model=target, acceptance=MatchAcceptance())
    assert tiny.outputs(found) == plain
    assert any(cycle.path for cycle in found.cycles)


def test_a_rank_beyond_the_reduced_vocabulary_is_named() -> None:
    drafter = TreeDrafts(loaded("parallel"), StaticTree([[len(DRAFTED)]]))
    with pytest.raises(UsageError, match="the rank 30; valid for this drafter: 0 to 29"):
        tiny.serve(
            tiny.requests(1),
            drafter,
            2,
            model=tiny_families.target(FAMILY),
            acceptance=MatchAcceptance(),
        )


def test_files_hold_the_tables_and_no_head() -> None:
    for name in CLASSES:
        tensors = load_file(saved(name) / WEIGHTS)
        assert "lm_head.weight" not in tensors and "embed_tokens.weight" not in tensors
        places = torch.arange(len(DRAFTED))
        assert (tensors["d2t"] + places).tolist() == list(DRAFTED)
        assert tensors["t2d"].nonzero().flatten().tolist() == list(DRAFTED)
        assert json.loads((saved(name) / "config.json").read_text())["draft_vocab_size"] == 30


def test_another_head_than_the_targets_is_refused(tmp_path: Path) -> None:
    tensors = read_tensors(saved("parallel"), torch.float32, tiny.CPU)
    write_checkpoint(tmp_path, {**tensors, "lm_head.weight": torch.zeros(30, 32)}, torch.float32)
    (tmp_path / "config.json").write_text((saved("parallel") / "config.json").read_text())
    with pytest.raises(CheckpointError, match=r"lm_head\.weight"):
        loaded("parallel", tmp_path)


def test_tables_must_be_there(tmp_path: Path) -> None:
    tensors = read_tensors(saved("ar"), torch.float32, tiny.CPU)
    del tensors["d2t"]
    write_checkpoint(tmp_path, tensors, torch.float32)
    (tmp_path / "config.json").write_text((saved("ar") / "config.json").read_text())
    with pytest.raises(CheckpointError, match="lacks the tensor 'd2t'"):
        loaded("ar", tmp_path)


def test_a_format_that_needs_a_head_gets_its_rows(tmp_path: Path) -> None:
    """speculators' DSpark, which other programs read, drafts the same."""
    folder, out = tiny_families.folder(FAMILY), tmp_path / "converted"
    with pytest.raises(CheckpointError, match="speculators needs one; valid: --target"):
        convert(saved("semi_ar_gated"), "speculators", out, None)
    convert(saved("semi_ar_gated"), "speculators", out, folder)
    head = load_file(out / WEIGHTS)["lm_head.weight"].float()
    rows = teacher().head_weight[list(DRAFTED)]
    assert torch.equal(head, rows.bfloat16().float())
    with pytest.raises(CheckpointError, match="cannot hold a reduced vocabulary"):
        convert(saved("semi_ar_gated"), "deepspec", tmp_path / "other", folder)
    ours, theirs = loaded("semi_ar_gated"), loaded("semi_ar_gated", out)
    assert ours.spec.max_gamma == theirs.spec.max_gamma
    assert ours.spec.feature_layers == theirs.spec.feature_layers
