"""`train drafter=...` as typed, on a tiny target and a tiny corpus: the result drafts."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from dspark_bench import cli
from dspark_bench.models.target import TargetModel
from dspark_bench.training.corpus import CorpusConfig, word_problem_documents
from dspark_bench.training.documents import Corpus, Document
from dspark_bench.training.prepared import PreparedData, folder_for, write_prepared
from dspark_bench.training.tokenizer import EOS_TOKEN_ID, load_tokenizer, save_tokenizer
from dspark_bench.training_runs import train_drafters
from dspark_bench.training_runs.responses import ResponsePlan, load_or_generate

VOCAB = 320
BRIEF = (
    "measure.precision=null",
    "measure.repeats=1",
    "measure.warmup_requests=1",
    "measure.calibration_requests=2",
    "measure.agreement_requests=1",
    "measure.law_tokens=0",
    "engine.threads=1",
)
"""A trained drafter is to run; how it is measured is what other tests are about."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    config = CorpusConfig(num_word_problems=200)
    texts = {
        "code": "def f_{0}(x):\n    return x + {0}\n\n" * 9,
        "prose": "It has {0} parts. " * 40,
    }
    written = [
        Document(text.format(i), domain, "package", f"{domain}_{i}.py")  # type: ignore[arg-type]
        for domain, text in texts.items()
        for i in range(200)
    ]
    prepared = PreparedData(tmp_path_factory.mktemp("work") / "data")
    corpus = Corpus((*word_problem_documents(config), *written), (), "0" * 64)
    write_prepared(prepared, corpus, config, VOCAB)
    return prepared


@pytest.fixture(scope="module")
def target_dir(data: PreparedData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("target")
    config = Qwen3Config(
        vocab_size=VOCAB,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=6,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        tie_word_embeddings=True,
        max_position_embeddings=512,
        eos_token_id=EOS_TOKEN_ID,
    )
    Qwen3ForCausalLM(config).save_pretrained(path)
    save_tokenizer(load_tokenizer(data.tokenizer_folder), path)
    return path


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_drafters, "EVALUATION_BATCHES", 1)


@pytest.mark.parametrize("name", ["medusa", "hydra", "mtp"])
def test_heads_and_modules_are_trained_and_run(
    data: PreparedData, target_dir: Path, tmp_path: Path, name: str
) -> None:
    """Greedy output is the baseline's, and the manifest says what was trained by which loss."""
    work = ("train.steps=2", "train.responses=8", f"train.work={data.folder.parent}")
    named = (f"drafter={name}", f"target.path={target_dir}", f"train.out={tmp_path / 'out'}")
    assert cli.execute(["train", *named, *work]) == 0
    folder = tmp_path / "out"
    manifest = json.loads(next(folder.rglob("manifest.json")).read_text())
    assert manifest["drafter"] == name
    assert manifest["objective"].startswith("CE of the tokens that came")
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(f'{{"prompt": "It has {i} parts"}}\n' for i in range(12)))
    keys = ("workload=jsonl", f"workload.path={prompts}", "gamma=3", "max_new_tokens=8")
    more = ("num_requests=4", "temperature=0", *BRIEF)
    where = (f"drafter.path={folder}", f"results_dir={tmp_path / 'results'}", "name=heads")
    assert cli.execute(["run", *named[:2], *where, *keys, *more]) == 0
    with (tmp_path / "results" / "heads" / "summary.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["drafter"], row["lossless_evidence"]) == (name, "exact")


def test_a_trained_drafter_can_be_swept(
    data: PreparedData, target_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    keys = [
        f"train.work={data.folder.parent}",
        f"train.out={out}",
        "train.steps=2",
        "train.responses=8",
    ]
    trained = cli.execute(
        ["train", "drafter=semi_ar", "drafter.head=rnn", f"target.path={target_dir}", *keys]
    )
    assert trained == 0
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(f'{{"prompt": "It has {i} parts"}}\n' for i in range(12)))
    swept = cli.execute(
        [
            "run",
            f"target.path={target_dir}",
            "drafter=semi_ar",
            f"drafter.path={out / 'semi_ar_rnn'}",
            "workload=jsonl",
            f"workload.path={prompts}",
            f"results_dir={tmp_path / 'results'}",
            "name=trained",
            "num_requests=2",
            "max_new_tokens=8",
            *BRIEF,
        ]
    )
    assert swept == 0


def test_a_trained_draft_model_can_be_run(
    data: PreparedData, target_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    keys = [f"train.work={data.folder.parent}", f"train.out={out}", "train.steps=2"]
    given = ["drafter=draft_model", f"target.path={target_dir}"]
    assert cli.execute(["train", *given, *keys, "train.responses=8"]) == 0
    assert cli.execute(["run", *given, f"drafter.path={out}", "--dry-run"]) == 0
    manifest = json.loads((out / "draft_model" / "manifest.json").read_text())
    assert manifest["objective"].startswith("0.1 CE + 0.9 L1, position")


def test_a_run_of_other_settings_starts_anew(
    data: PreparedData, target_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is kept for resuming belongs to the number of steps and of responses."""
    keys = [f"train.work={data.folder.parent}", f"train.out={tmp_path / 'out'}"]
    for more in (("1", "5"), ("1", "7"), ("2", "7")):
        numbers = [f"train.steps={more[0]}", f"train.responses={more[1]}"]
        given = ["train", "drafter=parallel", f"target.path={target_dir}", *keys, *numbers]
        assert cli.execute(given) == 0
        shown = capsys.readouterr().out
        assert f"responses {more[1]}/{more[1]}" in shown or more == ("2", "7")
        assert f"step {more[0]}/{more[0]}" in shown


def test_another_target_takes_up_nothing_of_the_first(
    data: PreparedData, target_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the same shape and with the same settings: it has responses and weights of its own."""
    other = tmp_path / "other"
    shutil.copytree(target_dir, other)
    model = Qwen3ForCausalLM.from_pretrained(other)
    with torch.no_grad():
        model.model.norm.weight.mul_(2)
    model.save_pretrained(other)
    kept = ["train.steps=1", "train.responses=9", f"train.work={data.folder.parent}"]
    for name, path in (("a", target_dir), ("b", other)):
        given = ["drafter=parallel", f"target.path={path}", f"train.out={tmp_path / name}"]
        assert cli.execute(["train", *given, *kept]) == 0
        shown = capsys.readouterr().out
        assert "responses 9/9" in shown and "step 1/1" in shown


def test_data_of_another_tokenizer_lie_apart(data: PreparedData, tmp_path: Path) -> None:
    work, own = data.folder.parent, load_tokenizer(data.tokenizer_folder)
    assert folder_for(work, own) == data.folder
    assert folder_for(tmp_path, own) == tmp_path / "data"
    other = load_tokenizer(data.tokenizer_folder)
    other.add_tokens(["<new>"])
    assert folder_for(work, other).name.startswith("data-")


def test_responses_are_the_targets_own_and_survive_an_interruption(
    data: PreparedData, target_dir: Path, tmp_path: Path
) -> None:
    plan = ResponsePlan(6, 10, 3)
    device = torch.device("cpu")

    def make(folder: Path) -> list[int]:
        packed = load_or_generate(target_dir, data, folder, plan, device, lambda *_: None)
        assert packed.starts.size == 6
        return packed.tokens.tolist()

    once = make(tmp_path / "a")
    assert make(tmp_path / "a") == once == make(tmp_path / "b")
    target = TargetModel.load(target_dir, torch.float32, device)
    assert max(once) < target.config.vocab_size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train.out=somewhere"], "train needs drafter=NAME or target=zoo"),
        (["drafter=none", "train.out=somewhere"], "drafter is 'none'; trainable: parallel"),
        (["drafter=ar"], "train.out is not given"),
        (["drafter=ar", "train.out=x", "train.responses=0"], "train.responses is 0; valid: 1 or"),
    ],
)
def test_unfit_requests_are_explained(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.execute(["train", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_names_on_the_hub_are_understood(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "drafter=semi_ar", "target.path=tiny/none", f"train.out={tmp_path / 'out'}"]
    assert cli.execute(words) == 2
    told = capsys.readouterr().err
    assert "tiny/none is no folder here and not in the hub's cache" in told
    assert told.count("\n") == 1
