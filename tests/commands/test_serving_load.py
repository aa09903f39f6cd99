"""Open loops as typed: traces, overload, objectives, lengths, and the mistakes users make."""

import json
from pathlib import Path

import pandas as pd
import pytest

from dspark_bench import cli
from dspark_bench.config.compose import compose_point, hydra_session
from dspark_bench.config.point_config import to_point_config
from dspark_bench.measure.identity import HashCache, identify
from tests.sweeps import read_summary, tiny_overrides
from tests.tiny_models import TinyZoo, write_prompts

NUM = 24
MOONCAKE = "".join(
    json.dumps({"timestamp": 27_000 + 5 * n, "input_length": 900, "output_length": 2 + n}).replace(
        "}", ', "hash_ids": [0, 1]}'
    )
    + "\n"
    for n in range(NUM)
)
BURST_GPT = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n" + "".join(
    f"{5 + n / 200},ChatGPT,{472 + n},{2 + n},{474 + 2 * n},Conversation log\n" for n in range(NUM)
)
AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n" + "".join(
    f"2023-11-16 18:15:46.{6805900 + 50_000 * n},{374 + n},{2 + n}\n" for n in range(NUM)
)


def run(zoo: TinyZoo, folder: Path, *more: str) -> int:
    prompts = folder / "prompts.jsonl"
    if not prompts.exists():
        write_prompts(prompts, [f"Question {n}: words" for n in range(2 * NUM)])
    quick = ("measure.calibration_requests=0", "measure.agreement_requests=0")
    return cli.execute(["run", *tiny_overrides(zoo, folder, *quick, *more)])


def results(folder: Path) -> dict[str, str]:
    (row,) = read_summary(folder / "results" / "tiny")
    return row


def stored(folder: Path, row: dict[str, str]) -> Path:
    return folder / "results" / "tiny" / "points" / row["point_id"]


@pytest.mark.parametrize("text", [MOONCAKE, BURST_GPT, AZURE], ids=["mooncake", "burst", "azure"])
def test_a_trace_is_replayed_with_its_answers_lengths(
    tiny_zoo: TinyZoo, tmp_path: Path, text: str
) -> None:
    trace = tmp_path / "trace"
    trace.write_text(text, encoding="utf-8")
    chosen = ("load=trace", f"load.path={trace}", "lengths=trace", "num_requests=10")
    chosen += ("load.time_unit=ms",) if text == MOONCAKE else ()
    assert run(tiny_zoo, tmp_path, *chosen) == 0
    row = results(tmp_path)
    assert (row["n_requests"], row["n_unserved"], row["stop_reason"]) == ("10", "0", "")
    requests = pd.read_parquet(stored(tmp_path, row) / "requests.parquet")
    timed = requests[~requests["is_warmup"]].sort_values(["arm", "request_id"])
    for _, arm in timed.groupby("arm"):
        assert arm["scheduled_s"].tolist() == pytest.approx([n / 200 for n in range(10)], abs=1e-5)
        ended = arm[arm["finish_reason"] == "length"]
        assert not ended.empty
        wanted = [min(2 + n, 8) for n in ended["request_id"]]
        assert ended["output_tokens"].map(len).tolist() == wanted
    notes = json.loads((stored(tmp_path, row) / "metrics.json").read_text())["notes"]
    assert any("3 of 10 lengths were above max_new_tokens=8" in note for note in notes)
    assert any("input lengths of the trace" in note for note in notes)


def test_twice_the_capacity_ends_and_accounts_for_everyone(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = (f"num_requests={NUM}", "slo.ttft_s=1000")
    assert run(tiny_zoo, tmp_path, *size, "load.concurrency=2", "results_dir=" + str(tmp_path)) == 0
    (alone,) = read_summary(tmp_path / "tiny")
    rate = 2 * float(alone["baseline_goodput_req_s"])
    load = ("load=constant", f"load.rate={rate}", "load.max_concurrency=2", "temperature=0")
    limit = f"measure.max_turn_s={0.9 * NUM / rate}"
    assert run(tiny_zoo, tmp_path, *size, *load, limit) == 0
    row = results(tmp_path)
    for prefix in ("", "baseline_"):
        assert row[f"{prefix}stop_reason"] == "max_turn_s"
        assert int(row[f"{prefix}n_unserved"]) > 0
        assert float(row[f"{prefix}slo_attainment"]) < 1
        assert float(row[f"{prefix}queue_max"]) > 0
    counts = [int(row[name]) for name in ("n_requests", "n_unserved", "n_not_sent")]
    assert sum(counts) == NUM
    assert row["lossless_evidence"] in ("exact", "near_tie")
    requests = pd.read_parquet(stored(tmp_path, row) / "requests.parquet")
    timed = requests[~requests["is_warmup"]]
    assert timed.groupby("arm")["request_id"].nunique().tolist() == [NUM, NUM]
    queue = json.loads((stored(tmp_path, row) / "metrics.json").read_text())["queue"]
    assert max(queue["baseline"]) > 0
    assert "baseline left" in capsys.readouterr().out


def test_one_place_still_serves_a_whole_queue(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    load = ("load=poisson", "load.rate=500", "load.max_concurrency=1", "num_requests=6")
    assert run(tiny_zoo, tmp_path, *load, "measure.max_waiting=1") == 0
    row = results(tmp_path)
    assert (row["stop_reason"], row["queue_max"]) == ("max_waiting", "1.0")
    assert int(row["n_requests"]) + int(row["n_unserved"]) == 6


def test_an_objective_of_zero_is_met_by_nobody(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tiny_zoo, tmp_path, "slo.ttft_s=0") == 0
    row = results(tmp_path)
    assert (float(row["goodput_req_s"]), float(row["slo_attainment"])) == (0, 0)
    assert (row["goodput_req_s_ci_low"], row["goodput_req_s_ci_high"]) == ("", "")  # no scatter
    assert "0.00 requests/s met the SLO (0%)" in capsys.readouterr().out


def test_lengths_belong_to_the_point(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    hashes = set()
    for number, lengths in enumerate(("lengths.seed=0", "lengths.seed=1")):
        folder = tmp_path / str(number)
        folder.mkdir()
        chosen = ("lengths=lognormal", "lengths.mean=4", lengths, "num_requests=4")
        assert run(tiny_zoo, folder, *chosen) == 0
        row = results(folder)
        requests = pd.read_parquet(stored(folder, row) / "requests.parquet")
        assert requests["output_tokens"].map(len).nunique() > 1
        hashes.add((row["point_id"], row["prompts_hash"]))
    assert len({point for point, _ in hashes}) == len({prompts for _, prompts in hashes}) == 2


def test_a_trace_counts_by_its_content(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    ids = []
    for name, text in (("a", MOONCAKE), ("b", MOONCAKE), ("c", MOONCAKE.replace("27005", "27006"))):
        trace = tmp_path / name
        trace.write_text(text, encoding="utf-8")
        with hydra_session():
            overrides = tiny_overrides(tiny_zoo, tmp_path, "load=trace", f"load.path={trace}")
            point = to_point_config(compose_point(overrides), "tiny")
        ids.append(identify(point, HashCache()).point_id)
    assert ids[0] == ids[1] != ids[2]


def test_prompts_of_the_run_are_the_same_whatever_is_set_aside(
    tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    found = []
    for setting in ("measure.calibration_requests=1", "measure.calibration_requests=2", "seed=5"):
        with hydra_session():
            overrides = tiny_overrides(tiny_zoo, tmp_path, setting)
            point = to_point_config(compose_point(overrides), "tiny")
        found.append(identify(point, HashCache()))
    assert found[0].prompts_hash == found[1].prompts_hash != found[2].prompts_hash
    assert len({identity.point_id for identity in found}) == 3


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["slo.ttft_s=-1"], "slo.ttft_s is -1.0; valid: 0 or more seconds, or null"),
        (["slo.tpot_s=nan"], "slo.tpot_s is nan; valid: 0 or more seconds, or null"),
        (["measure.max_turn_s=0"], "measure.max_turn_s is 0.0; valid: above 0 seconds, or null"),
        (["measure.max_waiting=-1"], "measure.max_waiting is -1; valid: 0 or more, or null"),
        (["lengths=lognormal", "lengths.mean=0"], "lengths.mean is 0"),
        (["lengths=trace"], "lengths.path is not given"),
        (["load=trace", "load.path=TRACE"], "line 3: needs timestamp, input_length"),
    ],
)
def test_mistakes_exit_2_with_one_line(
    tiny_zoo: TinyZoo,
    tmp_path: Path,
    overrides: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trace = tmp_path / "trace.jsonl"
    lines = MOONCAKE.splitlines()
    lines[2] = lines[2][:20]
    trace.write_text("\n".join(lines), encoding="utf-8")
    typed = [override.replace("TRACE", str(trace)) for override in overrides]
    assert run(tiny_zoo, tmp_path, *typed) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.err.count("\n") == 1
    assert shown.out == ""


def test_a_load_that_brings_nothing_exits_2(
    tiny_zoo: TinyZoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "conf" / "load"
    folder.mkdir(parents=True)
    (folder / "silent.yaml").write_text("_target_: tests.plugins.SilentLoad\n")
    overrides = ["load=silent", f"hydra.searchpath=['file://{folder.parent}']"]
    assert run(tiny_zoo, tmp_path, *overrides) == 2
    assert "SilentLoad.next_event_s gave None" in capsys.readouterr().err
