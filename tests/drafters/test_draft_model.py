"""An independent decoder as a drafter: its laws, what it reads when, and which folders it takes."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from dspark_bench.core.errors import CheckpointError
from dspark_bench.core.types import (
    ContextUpdate,
    DraftBatch,
    PlanContext,
    Proposal,
    SamplingParams,
    SchedulerSpec,
)
from dspark_bench.drafters.draft_model import MOST_UNREAD, DraftModelDrafter
from dspark_bench.engine.emitted_law import emitted_law_check
from dspark_bench.engine.exactness import P_MIN, tilt_check
from dspark_bench.engine.forced_contract import forced_contract
from dspark_bench.models.checkpoint import read_tensors, write_checkpoint
from dspark_bench.models.draft_decoder import DraftDecoder, check_decoder_files
from dspark_bench.models.kernels.choice import Wanted
from dspark_bench.schedulers.batch_size import BatchSizeScheduler
from dspark_bench.schedulers.fixed import FixedScheduler
from dspark_bench.training.decoder_model import DecoderModel, DecoderRecipe
from dspark_bench.training.drafter_batch import hang_blocks
from dspark_bench.training.drafter_trainer import save_drafter
from tests import joint_law, tiny, tiny_families, tiny_models

GREEDY = SamplingParams(temperature=0.0)
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder of the tiny target's shape and vocabulary, and of other weights."""
    path = tmp_path_factory.mktemp("other")
    tiny.qwen(seed=9).save_pretrained(path)
    return path


def told(drafter: DraftModelDrafter, row: int, start: int, tokens: Tensor) -> None:
    empty = torch.empty(len(tokens), 0)
    drafter.extend(ContextUpdate((row,), (start,), (len(tokens),), tokens, tokens, empty))


def asked(
    drafter: DraftModelDrafter,
    texts: dict[int, Tensor],
    contexts: Sequence[int],
    lens: Sequence[int],
) -> Proposal:
    """Drafts behind contexts of texts by row, the texts' own tokens forced."""
    width = max(lens)
    ends = list(zip(texts.values(), contexts, strict=True))
    return drafter.propose(
        DraftBatch(
            rows=tuple(texts),
            context_lens=tuple(contexts),
            anchors=torch.stack([text[end] for text, end in ends]),
            draft_lens=tuple(lens),
            sampling=SamplingParams(),
            uniform=torch.zeros(len(texts), width, dtype=torch.float64),
            forced=torch.stack([text[end + 1 : end + 1 + width] for text, end in ends]),
        )
    )


def text_of(length: int, seed: int) -> Tensor:
    return torch.randint(1, tiny.VOCAB, (length,), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("family", ["qwen3-biased", "qwen2-mixed", "llama", "mistral-window"])
def test_its_laws_are_those_of_transformers(family: str) -> None:
    """Of every family, wider than its target: context in pieces, rows out of order."""
    folder = tiny_families.folder(family)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    drafter = DraftModelDrafter(folder, tiny.target())
    texts = {2: text_of(60, 1), 0: text_of(60, 2)}
    with torch.inference_mode():
        drafter.allocate(3, 64)
        for start, end in ((0, 20), (20, 23), (23, 30)):
            for row, text in texts.items():
                told(drafter, row, start, text[start:end])
        for known, context, lens in ((30, 30, (5, 3)), (30, 33, (2, 4)), (33, 35, (6, 6))):
            for row, text in texts.items():
                if known < context:
                    told(drafter, row, known, text[known:context])
            found = asked(drafter, texts, (context, context), lens)
            assert found.probs is not None
            for place, text in enumerate(texts.values()):
                law = torch.softmax(model(text[None]).logits[0], -1)
                wanted = law[context : context + lens[place]]
                assert (found.probs[place, : lens[place]] - wanted).abs().max() < 1e-4


@pytest.mark.parametrize("concurrency", [1, 6])
def test_a_target_drafts_for_itself_and_is_never_refused(concurrency: int) -> None:
    drafter = DraftModelDrafter(tiny.target_dir(), tiny.target())
    served = tiny.requests(8, 40)
    plain = tiny.outputs(tiny.serve(served, None, temperature=0.0))
    found = tiny.serve(served, drafter, 4, concurrency, temperature=0.0)
    assert tiny.outputs(found) == plain
    decoding = [cycle for cycle in found.cycles if not cycle.is_prefill]
    assert all(cycle.num_accepted == cycle.verify_len for cycle in decoding)
    assert sum(cycle.num_accepted == 4 for cycle in decoding) > len(decoding) / 2


class Counted(DraftModelDrafter):
    """Keeps how many tokens each pass runs."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, tiny.target())
        self.passes: list[list[int]] = []

    def _forward(self, token_ids: Tensor, spans: Any) -> Tensor:
        self.passes.append([span.query_len for span in spans])
        return super()._forward(token_ids, spans)

    def drafts(self, text: Tensor, context: int, length: int) -> list[int]:
        """Tokens of each pass of one proposal of row 0."""
        self.passes.clear()
        asked(self, {0: text}, (context,), (length,))
        return [count for (count,) in self.passes]


def test_it_reads_what_it_has_not_read_with_the_anchor_and_nothing_twice(other: Path) -> None:
    drafter = Counted(other)
    text = text_of(64, 3)
    with torch.inference_mode():
        drafter.allocate(1, 64)
        told(drafter, 0, 0, text[:20])
        assert drafter.passes == [[20]]
        assert drafter.drafts(text, 20, 3) == [1, 1, 1]
        drafter.passes.clear()
        told(drafter, 0, 20, text[20:24])  # anchor and all three drafts: the last is unread
        assert drafter.passes == []
        assert drafter.drafts(text, 24, 3) == [2, 1, 1]
        told(drafter, 0, 24, text[24:26])  # one draft stood
        assert drafter.drafts(text, 26, 2) == [1, 1]
        told(drafter, 0, 26, text[26:27])  # none stood: the anchor is read
        told(drafter, 0, 27, text[27:28])  # a cycle that drafted nothing
        told(drafter, 0, 28, text[28:30])
        assert drafter.drafts(text, 30, 1) == [4]
        drafter.passes.clear()
        told(drafter, 0, 30, text[30 : 31 + MOST_UNREAD])
        assert drafter.passes == []
        told(drafter, 0, 31 + MOST_UNREAD, text[31 + MOST_UNREAD : 32 + MOST_UNREAD])
        assert drafter.passes == [[MOST_UNREAD + 1]]
        told(drafter, 0, 0, text[5:9])  # the next request of the row
        assert drafter.drafts(text[5:], 4, 1) == [5]


def test_what_was_drafted_and_did_not_come_is_read_anew(other: Path) -> None:
    drafter = Counted(other)
    text = text_of(40, 3)
    wrong = text.clone()
    wrong[22] = 1 + text[22] % (tiny.VOCAB - 1)
    with torch.inference_mode():
        drafter.allocate(1, 64)
        told(drafter, 0, 0, text[:20])
        assert drafter.drafts(wrong, 20, 4) == [1, 1, 1, 1]
        told(drafter, 0, 20, text[20:24])  # of anchor and three drafts that were fed, two came
        assert drafter.drafts(text, 24, 1) == [3]


def test_a_draft_is_compared_with_what_came_in_its_place_alone(other: Path) -> None:
    """Not with the tokens of the cycle behind it, which may begin alike."""
    drafter = Counted(other)
    text = text_of(40, 3)
    text[21] = text[20]
    with torch.inference_mode():
        drafter.allocate(1, 64)
        told(drafter, 0, 0, text[:20])
        assert drafter.drafts(text, 20, 3) == [1, 1, 1]
        told(drafter, 0, 20, text[20:21])  # the anchor came, no draft did
        told(drafter, 0, 21, text[21:22])  # a cycle that drafted nothing
        assert drafter.drafts(text, 22, 1) == [2]


class Checked(DraftModelDrafter):
    """Every proposal's first law is that of a pass over the whole text, and so are the others
    behind what was drafted.
    """

    def __init__(self, path: Path, kernels: Wanted) -> None:
        super().__init__(path, tiny.target(True, kernels))
        self.texts: dict[int, list[int]] = {}
        self.reference = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
        self.num_seen = 0

    def extend(self, update: ContextUpdate) -> None:
        tokens, at = update.token_ids.tolist(), 0
        for row, start, count in zip(update.rows, update.starts, update.counts, strict=True):
            kept = self.texts.get(row, [])[:start]
            assert len(kept) == start
            self.texts[row] = kept + tokens[at : at + count]
            at += count
        super().extend(update)

    def propose(self, batch: DraftBatch) -> Proposal:
        found = super().propose(batch)
        assert found.probs is not None
        for place, row in enumerate(batch.rows):
            length = batch.draft_lens[place]
            text = [*self.texts[row], int(batch.anchors[place])]
            text += found.token_ids[place, : length - 1].tolist()
            law = torch.softmax(self.reference(torch.tensor([text])).logits[0, -length:], -1)
            assert (found.probs[place, :length] - law).abs().max() < 1e-4
            self.num_seen += 1
        return found


class Changing(FixedScheduler):
    """Drafts 0 to gamma tokens, by request and cycle, and verifies some of them."""

    def plan_draft(self, context: PlanContext) -> list[int]:
        pairs = zip(context.request_ids, context.cycles, strict=True)
        return [(3 * number + cycle) % (context.gamma + 1) for number, cycle in pairs]


class Foretold(Changing):
    """Is told what will be accepted, and verifies that: drafts twice a cycle."""

    spec = SchedulerSpec("foretold", is_non_anticipating=False, needs_hindsight=True)

    def plan_verify(
        self, context: PlanContext, draft_lens: Sequence[int], confidence: Any
    ) -> list[int]:
        assert context.hindsight is not None
        return list(context.hindsight)


@pytest.mark.parametrize(
    ("scheduler", "kernels"),
    [(FixedScheduler(), Wanted.AUTO), (Changing(), Wanted.TORCH), (Foretold(), Wanted.AUTO)],
    ids=["fixed", "changing", "foretold"],
)
def test_its_cache_is_that_of_the_text_at_every_draft(
    other: Path, scheduler: FixedScheduler, kernels: Wanted
) -> None:
    drafter = Checked(other, kernels)
    served = tiny.requests(5, 16)
    model = tiny.target(True, kernels)
    tiny.serve(served, drafter, 4, 3, scheduler=scheduler, model=model, prefill_tokens=8)
    assert drafter.num_seen > 20


@pytest.mark.parametrize(
    ("gamma", "concurrency", "scheduler"),
    [(1, 1, None), (9, 5, None), (4, 10, Changing()), (4, 5, Foretold())],
    ids=["alone", "together", "lengths that change", "hindsight"],
)
def test_greedy_output_is_the_baselines(
    other: Path, gamma: int, concurrency: int, scheduler: FixedScheduler | None
) -> None:
    served = tiny.requests(12)
    plain = tiny.outputs(tiny.serve(served, None, temperature=0.0))
    drafter = DraftModelDrafter(other, tiny.target())
    found = tiny.serve(served, drafter, gamma, concurrency, temperature=0.0, scheduler=scheduler)
    assert tiny.outputs(found) == plain


def test_what_is_sampled_does_not_depend_on_who_shares_the_batch(other: Path) -> None:
    served, drafter = tiny.requests(8), DraftModelDrafter(other, tiny.target())
    alone = tiny.outputs(tiny.serve(served, drafter))
    assert alone == tiny.outputs(tiny.serve(served, drafter, concurrency=8))


@pytest.mark.parametrize(
    ("sampling", "scheduler"),
    [
        (SamplingParams(), None),
        (SamplingParams(0.7, 3, 0.9), BatchSizeScheduler([[1, 3], [400, 1]])),
    ],
    ids=["plain", "filtered, lengths by batch"],
)
def test_what_is_emitted_has_the_targets_law(
    sampling: SamplingParams, scheduler: BatchSizeScheduler | None
) -> None:
    joint_law.target(1, 1)
    drafter = DraftModelDrafter(tiny.root() / "four-tokens-1-1", joint_law.target())
    assert joint_law.joint_p(drafter, sampling, 3, scheduler) >= P_MIN
    if sampling == SamplingParams():
        assert joint_law.joint_p(joint_law.biased(drafter), sampling, 3, scheduler) < P_MIN


def test_it_answers_forced_tokens_as_it_must_and_its_texts_do_not_lean(other: Path) -> None:
    drafter, served = DraftModelDrafter(other, tiny.target()), tiny.requests(24, 40)
    written = tiny.outputs(tiny.serve(served, drafter, 4, 8))
    texts = [(r, written[r.request_id]) for r in served]
    for check in (
        forced_contract(tiny.target(), drafter, texts, 4, SamplingParams()),
        tilt_check(tiny.target(), drafter, texts, 4, SamplingParams()),
        emitted_law_check(tiny.target(), texts, SamplingParams(), 4),
    ):
        assert check.is_passed, check.detail


@pytest.mark.parametrize("tied", [True, False])
def test_what_is_trained_here_is_what_drafts(tied: bool, tmp_path: Path) -> None:
    """Written without embedding and head; given those, a folder that transformers reads."""
    teacher = tiny.FrozenTarget(tiny.target_dir(tied), tiny.CPU)
    module = DecoderModel(teacher, DecoderRecipe())
    with torch.no_grad():
        for weight in module.parameters():
            weight.normal_(0, 0.3) if weight.dim() > 1 else weight.uniform_(0.5, 1.5)
            weight.copy_(weight.bfloat16().float())
    save_drafter(module, teacher, tiny.target_dir(tied), tmp_path, {})
    stored = read_tensors(tmp_path, torch.float32, tiny.CPU)
    assert EMBEDDING not in stored and HEAD not in stored
    assert len(stored) == 2 * 11 + 1
    text = text_of(40, 4)
    batch = hang_blocks(teacher, text[None], (), torch.tensor([[30]]), 5, (), 4.0)
    drafter = DraftModelDrafter(tmp_path, tiny.target(tied))
    assert drafter.spec.max_gamma is None and drafter.spec.notes == ()
    with torch.inference_mode():
        expected = torch.softmax(module.scores(batch).logits[0, 0], -1)
        drafter.allocate(1, 64)
        told(drafter, 0, 0, text[:30])
        found = asked(drafter, {0: text}, (30,), (5,))
    assert found.probs is not None
    assert (found.probs[0] - expected).abs().max() < 1e-4
    whole = {**stored, EMBEDDING: teacher.embed_weight}
    if not tied:
        whole[HEAD] = teacher.head_weight
    write_checkpoint(tmp_path, whole, torch.float32)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    assert type(model).__name__ == "Qwen3ForCausalLM"
    with torch.no_grad():
        law = torch.softmax(model(text[None]).logits[0, 30:35], -1)
    assert (law - expected).abs().max() < 1e-4


def copy_of(folder: Path, to: Path, **changes: Any) -> Path:
    """A model's folder, and its configuration with changes."""
    path = Path(shutil.copytree(folder, to))
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps(config | changes))
    return path


def refusal(path: Path, target_dir: Path | None = None) -> str:
    """What is said of a folder before anything runs, in one line, and again when it is read."""
    with pytest.raises(CheckpointError) as early:
        check_decoder_files(path, tiny.target().config, target_dir or tiny.target_dir())
    said = str(early.value)
    assert "\n" not in said
    return said


def test_another_vocabulary_is_refused_and_both_are_named(tmp_path: Path) -> None:
    tiny_models.write_target(tmp_path, vocab_size=320)
    expected = "the draft model has vocab_size 320, its target 64; they must be equal"
    assert expected in refusal(tmp_path)
    with pytest.raises(CheckpointError, match=expected):
        DraftModelDrafter(tmp_path, tiny.target())


def test_another_tokenizer_of_the_same_size_is_refused(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        tiny_models.write_target(folder)
    shape = tiny.TargetModel.load(one, torch.float32, tiny.CPU).config
    check_decoder_files(two, shape, one)
    path = two / "tokenizer.json"
    known = json.loads(path.read_text())
    vocab = known["model"]["vocab"]
    (first, a), (second, b) = list(vocab.items())[40:42]
    vocab[first], vocab[second] = b, a
    path.write_text(json.dumps(known))
    with pytest.raises(CheckpointError, match=f"token {min(a, b)} is .* to the draft model and"):
        check_decoder_files(two, shape, one)
    path.unlink()
    check_decoder_files(two, shape, one)


def test_folders_of_other_kinds_are_refused(tmp_path: Path) -> None:
    assert "a DSpark drafter, no whole decoder; use drafter=semi_ar" in refusal(
        tiny.drafter_dir("semi_ar_rnn")
    )
    gemma = copy_of(tiny.target_dir(), tmp_path / "gemma", model_type="gemma2")
    said = refusal(gemma)
    assert "model_type is 'gemma2'; valid for a draft model: 'qwen3', 'qwen2'" in said
    assert "no checkpoint directory at" in refusal(tmp_path / "absent")


def test_a_file_that_lacks_what_it_must_have_is_refused(tmp_path: Path) -> None:
    untied = copy_of(tiny.target_dir(False), tmp_path / "untied")
    tensors = dict(read_tensors(untied, torch.float32, tiny.CPU))
    del tensors[HEAD]
    write_checkpoint(untied, tensors, torch.float32)
    assert "lacks the tensor 'lm_head.weight'" in refusal(untied)
    with pytest.raises(CheckpointError, match=r"lacks the tensor 'lm_head.weight'"):
        DraftModelDrafter(untied, tiny.target())
    wide = copy_of(tiny_families.folder("llama"), tmp_path / "wide")
    tensors = dict(read_tensors(wide, torch.float32, tiny.CPU))
    del tensors[EMBEDDING]
    write_checkpoint(wide, tensors, torch.float32)
    assert "lacks the tensor 'model.embed_tokens.weight'" in refusal(wide)
    with pytest.raises(CheckpointError, match=r"lacks the tensor 'model.embed_tokens.weight'"):
        DraftModelDrafter(wide, tiny.target())
    more = copy_of(tiny.target_dir(), tmp_path / "more", num_hidden_layers=3)
    assert "holds the tensor 'model.layers.3" in refusal(more)
    with pytest.raises(CheckpointError, match=r"holds the tensor 'model.layers.3"):
        DraftModelDrafter(more, tiny.target())


def test_a_copy_of_the_targets_table_is_shared_and_shorter_texts_are_noted(tmp_path: Path) -> None:
    model = DraftDecoder.load(tiny.target_dir(), tiny.target())
    assert model._embed is tiny.target().embed and model._lm_head is tiny.target().lm_head
    short = copy_of(tiny.target_dir(), tmp_path / "short", max_position_embeddings=32)
    (note,) = DraftModelDrafter(short, tiny.target()).spec.notes
    assert "max_position_embeddings 32, its target 256" in note
