"""A drafter's copies of embedding and head: shared where they are the target's, else its own."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dspark_bench.core.types import ContextUpdate, DraftBatch, SamplingParams
from dspark_bench.models.checkpoint import read_tensors, write_checkpoint
from dspark_bench.models.draft_config import DFLASH
from dspark_bench.models.draft_formats.reading import read_draft_config
from dspark_bench.models.vocabulary import read_vocabulary
from tests import tiny


def noise(seed: int = 0) -> Tensor:
    return torch.randn(tiny.VOCAB, 32, generator=torch.Generator().manual_seed(seed))


def with_copies(folder: Path, name: str, copies: dict[str, Tensor], **changes: object) -> Path:
    path = Path(shutil.copytree(tiny.drafter_dir(name), folder / name))
    tensors = read_tensors(path, torch.float32, tiny.CPU)
    write_checkpoint(path, {**tensors, **copies}, torch.float32)
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, **changes}))
    return path


def test_copies_that_were_rounded_are_the_targets(tmp_path: Path) -> None:
    config = read_draft_config(tiny.drafter_dir("parallel"), DFLASH)
    target = tiny.target(tied=False)
    rounded = {
        "embed_tokens.weight": target.embed.bfloat16().float(),
        "lm_head.weight": target.head_weight.bfloat16().float(),
    }
    assert not torch.equal(rounded["lm_head.weight"], target.head_weight)
    found = read_vocabulary(rounded, config, target)
    assert found.embed is target.embed
    assert found.lm_head is target.lm_head
    assert found.notes == ()


def test_one_number_beyond_rounding_makes_it_another_copy() -> None:
    config = read_draft_config(tiny.drafter_dir("parallel"), DFLASH)
    target = tiny.target(tied=False)
    copy = target.head_weight.clone()
    copy[3, 4] *= 1.01
    found = read_vocabulary({"lm_head.weight": copy}, config, target)
    assert found.lm_head is not target.lm_head
    (note,) = found.notes
    assert "lm_head.weight" in note and "another target?" in note and "cosine 1.00" in note


@pytest.mark.parametrize("name", ["parallel", "ar", "semi_ar_vanilla"])
@pytest.mark.parametrize("part", ["embed_tokens.weight", "lm_head.weight"])
def test_another_models_copy_is_used_and_noted(tmp_path: Path, name: str, part: str) -> None:
    drafter = tiny.drafter(name, with_copies(tmp_path, name, {part: noise()}))
    (note,) = drafter.spec.notes
    assert f"the drafter's own {part} differs from its target's" in note
    assert tiny.drafter(name).spec.notes == ()


def drafted(name: str, path: Path | None = None) -> Tensor:
    drafter = tiny.drafter(name, path)
    features = torch.randn(6, 64, generator=torch.Generator().manual_seed(1))
    tokens = torch.arange(1, 7)
    with torch.inference_mode():
        drafter.allocate(1, 32)
        drafter.extend(ContextUpdate((0,), (0,), (6,), tokens, tokens + 1, features))
        uniform = torch.zeros(1, 3, dtype=torch.float64)
        batch = DraftBatch(
            (0,),
            (6,),
            torch.tensor([7]),
            (3,),
            SamplingParams(),
            uniform,
            torch.tensor([[5, 6, 7]]),
        )
        probs = drafter.propose(batch).probs
    assert probs is not None
    return probs[0]


@pytest.mark.parametrize("name", ["parallel", "ar"])
def test_an_own_head_decides_what_is_drafted(tmp_path: Path, name: str) -> None:
    """Twice the head is half the temperature, of these logits and no others."""
    doubled = 2 * tiny.target().head_weight
    sharp = drafted(name, with_copies(tmp_path, name, {"lm_head.weight": doubled}))
    expected = torch.softmax(2 * drafted(name).log(), -1)
    assert (sharp - expected).abs().max() < 1e-5
    assert (sharp - drafted(name)).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["parallel", "ar"])
def test_an_own_embedding_decides_what_is_drafted(tmp_path: Path, name: str) -> None:
    path = with_copies(tmp_path, name, {"embed_tokens.weight": noise(3)})
    assert (drafted(name, path) - drafted(name)).abs().max() > 1e-3


def test_a_tied_drafter_reads_its_embedding_as_head() -> None:
    path = tiny.drafter_dir("parallel")
    config = read_draft_config(path, DFLASH)
    from dataclasses import replace

    tied = replace(config, model=replace(config.model, tie_word_embeddings=True))
    x = torch.randn(2, 32, generator=torch.Generator().manual_seed(2))
    own = noise(5)
    head = read_vocabulary({"embed_tokens.weight": own}, tied, tiny.target(False)).lm_head
    assert torch.allclose(head(x), x @ own.T, atol=1e-4)
    shared = read_vocabulary({}, tied, tiny.target(False)).lm_head
    assert torch.allclose(shared(x), x @ tiny.target(False).embed.T, atol=1e-4)
    assert read_vocabulary({}, tied, tiny.target(True)).lm_head is tiny.target(True).lm_head
