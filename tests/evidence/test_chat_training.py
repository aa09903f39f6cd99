"""The two makers' commands on a tiny chat model: answers, resumed, then drafters that run."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from dspark_bench.core.errors import UsageError
from dspark_bench.core.prompt_hash import prompt_hash
from dspark_bench.drafters.semi_ar import SemiAutoregressiveDrafter
from dspark_bench.evidence import chat_responses, train_smollm2
from dspark_bench.models.checkpoint import read_tokenizer
from dspark_bench.models.target import TargetModel
from dspark_bench.training.chat_shards import read_shard, shard_paths
from tests import tiny, tiny_models

TEMPLATE = "{% for m in messages %}<|mask|>{{ m.content }}<|mask|>{% endfor %}"
PROMPTS = [
    *({"prompt": f"count to {n} in words", "domain": "math"} for n in range(9)),
    *({"prompt": f"a line of text about {n}", "domain": "code"} for n in range(7)),
    *({"messages": [{"role": "user", "content": f"read {n}"}], "domain": "x"} for n in range(5)),
]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chat-target")
    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=tiny_models.VOCAB,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=6,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=256,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=0,
    )
    LlamaForCausalLM(shape).save_pretrained(folder)
    tiny_models.tiny_tokenizer().save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prompts") / "prompts.jsonl"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in PROMPTS))
    return path


def write(target: Path, prompts: Path, out: Path, **options: object) -> None:
    chat_responses.main(
        **{
            "prompts": [prompts],
            "out": out,
            "target": target,
            "tokens": 500,
            "max_new_tokens": 12,
            "shard_prompts": 24,
            "batch_size": 5,
            "word_problems": 3,
            "dtype": "float32",
            "seed": 0,
            "threads": 1,
            "part": "1/1",
            **options,
        }  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def answers(target: Path, prompts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("answers")
    write(target, prompts, out)
    return out


def test_shards_are_written_until_there_is_enough(answers: Path) -> None:
    shards = [read_shard(path) for path in shard_paths(answers)]
    assert sum(shard.num_tokens for shard in shards) >= 500
    assert sum(shard.num_tokens for shard in shards[:-1]) < 500
    for shard in shards:
        assert [r.domain for r in shard.responses] == ["math", "code", "chat"] * 8
        assert all(1 <= len(r.tokens) <= 12 for r in shard.responses)
    everyone = [r for shard in shards for r in shard.responses]
    asked = [r.prompt_hash for r in everyone if r.domain == "code"]
    assert asked[:7] == asked[7:14] and len(set(asked)) == 7  # each once, then again
    greedy = [r for r in everyone if r.is_greedy]
    assert len(greedy) / len(everyone) == pytest.approx(0.25, abs=0.1)
    known: dict[str, tuple[int, ...]] = {}
    for response in greedy:
        assert known.setdefault(response.prompt_hash, response.tokens) == response.tokens


def test_greedy_answers_are_the_targets(answers: Path, target: Path, prompts: Path) -> None:
    model = LlamaForCausalLM.from_pretrained(target)
    tokenizer = read_tokenizer(target)
    ids = tuple(tokenizer.encode("<|mask|>read 0<|mask|>", add_special_tokens=False).ids)
    everyone = [r for path in shard_paths(answers) for r in read_shard(path).responses]
    found = [r for r in everyone if r.prompt_hash == prompt_hash(ids) and r.is_greedy]
    output = model.generate(torch.tensor([ids]), max_new_tokens=12, do_sample=False)
    assert found and found[0].tokens == tuple(output[0, len(ids) :].tolist())


def test_a_shard_that_is_missing_is_written_as_it_was(
    answers: Path, target: Path, prompts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = Path(shutil.copytree(answers, tmp_path / "again"))
    first = shard_paths(out)[0]
    before = first.read_bytes()
    first.unlink()
    write(target, prompts, out)
    assert first.read_bytes() == before
    assert "shard 1:" not in capsys.readouterr().out
    other = tmp_path / "parts"
    write(target, prompts, other, part="2/2", tokens=1)
    assert [path.name for path in shard_paths(other)] == ["00001.npz"]
    assert shard_paths(other)[0].read_bytes() == (shard_paths(answers)[1]).read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 1}, "was begun with seed 0, not 1"),
        ({"word_problems": 4}, "was begun with num_word_problems 3, not 4"),
        ({"part": "3/2"}, "--part is '3/2'; valid: K/N"),
        ({"dtype": "half"}, "--dtype is 'half'; valid: float32, bfloat16"),
    ],
)
def test_what_does_not_go_on_is_refused(
    answers: Path, target: Path, prompts: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        write(target, prompts, answers, **options)


def test_a_model_without_a_template_is_refused(prompts: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    tiny_models.write_target(folder)
    with pytest.raises(UsageError, match="has no chat template; valid: a chat model"):
        write(folder, prompts, tmp_path / "out")


def train(target: Path, answers: Path, work: Path, out: Path, **options: object) -> None:
    train_smollm2.main(
        **{
            "responses": answers,
            "work": work,
            "out": out,
            "prompts": None,
            "target": target,
            "steps": 3,
            "batch_size": 4,
            "block_tokens": 8,
            "draft_vocab": 64,
            "layers": 1,
            "markov_rank": 4,
            "lr": 1e-3,
            "seed": 0,
            "mask_token": None,
            "dtype": "float32",
            "threads": 1,
            **options,
        }  # type: ignore[arg-type]
    )


def test_drafters_are_trained_and_run(
    answers: Path, target: Path, prompts: Path, tmp_path: Path
) -> None:
    """Prompts by hash from the shards, or from their files: the same drafters."""
    bare = Path(shutil.copytree(answers, tmp_path / "bare"))
    shutil.rmtree(bare / "prompts")
    with pytest.raises(UsageError, match=r"are in none of the files.*--prompts"):
        train(target, bare, tmp_path / "work", tmp_path / "out", mask_token=1)
    sources = [{"name": "ours", "licence": "MIT"}]
    told = Path(shutil.copytree(answers, tmp_path / "told"))
    (told / "sources.json").write_text(json.dumps(sources))
    train(target, told, tmp_path / "work", tmp_path / "out", mask_token=1)
    train(target, bare, tmp_path / "work2", tmp_path / "out2", mask_token=1, prompts=[prompts])
    for name in ("semi_ar", "parallel", "ar"):
        weights = [
            (tmp_path / out / name / "model.safetensors").read_bytes() for out in ("out", "out2")
        ]
        assert weights[0] == weights[1]
        manifest = json.loads((tmp_path / "out" / name / "manifest.json").read_text())
        assert manifest["draft_vocab_size"] == 64 and manifest["sequences_seen"] == 12
    assert manifest["corpus"] == {"sources": sources}
    assert manifest["objective"].startswith("CE with the target's distribution")
    model = TargetModel.load(target, torch.float32, tiny.CPU)
    drafter = SemiAutoregressiveDrafter(tmp_path / "out" / "semi_ar", model)
    requests = tiny.requests(3, 10)
    plain = tiny.outputs(tiny.serve(requests, None, temperature=0, model=model))
    assert tiny.outputs(tiny.serve(requests, drafter, 4, temperature=0, model=model)) == plain


def test_answers_that_come_later_do_not_change_a_run(answers: Path, tmp_path: Path) -> None:
    some = Path(shutil.copytree(answers, tmp_path / "some"))
    last = shard_paths(some)[-1]
    kept = last.read_bytes()
    last.unlink()
    before = train_smollm2.settled_shards(some, tmp_path / "work")
    assert before == shard_paths(some) and before
    last.write_bytes(kept)
    assert train_smollm2.settled_shards(some, tmp_path / "work") == before
    before[0].unlink()
    with pytest.raises(UsageError, match=r"00000\.npz is gone"):
        train_smollm2.settled_shards(some, tmp_path / "work")


def test_other_answers_are_refused(answers: Path, target: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="every special token is in use"):
        train(target, answers, tmp_path, tmp_path)
    other = tmp_path / "other"
    tiny_models.write_target(other)
    with pytest.raises(UsageError, match="was written by the model"):
        train(other, answers, tmp_path, tmp_path)
    with pytest.raises(UsageError, match=r"holds no plan\.json"):
        train(target, tmp_path, tmp_path, tmp_path)
    some = Path(shutil.copytree(answers, tmp_path / "some"))
    plan = json.loads((some / "plan.json").read_text())
    del plan["seed"]
    (some / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(UsageError, match=r"plan\.json lacks seed"):
        train(target, some, tmp_path, tmp_path)


def test_a_target_of_another_dtype_does_not_take_up_a_run(
    answers: Path, target: Path, tmp_path: Path
) -> None:
    """And a draft vocabulary that is larger than the target's is the target's."""
    work, out = tmp_path / "work", tmp_path / "out"
    options = {"mask_token": 1, "steps": 1, "draft_vocab": 1_000_000}
    train(target, answers, work, out, **options)
    train(target, answers, work, out, **options, dtype="bfloat16")
    assert len(list(work.glob("*.pt"))) == 2
    manifest = json.loads((out / "ar" / "manifest.json").read_text())
    vocab_size = json.loads((target / "config.json").read_text())["vocab_size"]
    assert manifest["draft_vocab_size"] == vocab_size


@pytest.mark.parametrize("token", [-1, 1_000_000])
def test_a_mask_token_outside_the_vocabulary_is_refused(
    token: int, answers: Path, target: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=f"--mask-token is {token}; valid: 0 to"):
        train(target, answers, tmp_path / "work", tmp_path / "out", mask_token=token)
