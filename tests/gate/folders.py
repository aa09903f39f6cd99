"""Results folders of made-up acceptance, with the files and columns that the gate reads."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from dspark_bench.metrics.frames import decode_cycles, measured
from tests.metrics.records import cycle, request


@cache
def records(
    num_prompts: int = 40,
    gamma: int = 3,
    chance: float = 0.6,
    num_cycles: int = 30,
    seed: int = 0,
    has_overlaps: bool = True,
    num_repeats: int = 1,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cycles whose drafts are accepted with probability `chance` each, and their requests.

    Equal seeds give equal numbers to every chance, as a replay does.
    """
    rng = np.random.default_rng(seed)
    cycles, requests = [], []
    for repeat in range(num_repeats):
        for prompt in range(num_prompts):
            own = float(np.clip(chance + 0.1 * np.sin(prompt), 0, 1))
            names = {"repeat": repeat, "block": repeat * num_prompts + prompt, "request_id": prompt}
            length = 0
            for number in range(num_cycles):
                passed = rng.random(gamma) < own
                count = gamma if passed.all() else int(np.argmin(passed))
                length += count + 1
                cycles.append(
                    cycle(
                        **names,
                        cycle=number,
                        num_drafted=gamma,
                        verify_len=gamma,
                        num_accepted=count,
                        is_rejected=count < gamma,
                        num_emitted=count + 1,
                        expected_acceptance=[own] * gamma if has_overlaps else (),
                    )
                )
            requests.append(
                request(**names, prompt_id=f"p{prompt}", output_tokens=tuple(range(length)))
                | {"prompt_hash": f"hash{prompt}"}
            )
    return pd.DataFrame(cycles), pd.DataFrame(requests)


def write_point(
    folder: Path,
    point_id: str,
    frames: tuple[pd.DataFrame, pd.DataFrame],
    keys: dict[str, object] | None = None,
    facts: dict[str, object] | None = None,
    schema_version: int = 1,
    summary: dict[str, object] | None = None,
) -> None:
    """A finished point, named in the sweep's plan."""
    cycles, requests = frames
    gamma = int(cycles["num_drafted"].max())
    point = folder / "points" / point_id
    point.mkdir(parents=True, exist_ok=True)
    cycles.to_parquet(point / "cycles.parquet", index=False)
    requests.to_parquet(point / "requests.parquet", index=False)
    content = {
        "schema_version": schema_version,
        "point": {
            "point_id": point_id,
            "keys": {
                "drafter": "semi_ar",
                "gamma": gamma,
                "workload": "mixed",
                "load": "closed",
                "scheduler": "fixed",
                "acceptance": "replay",
                "seed": 0,
                **(keys or {}),
            },
        },
        "facts": {
            "target_hash": "aaaa",
            "drafter_hash": "bbbb",
            "continuations_hash": "cccc",
            "dtype": "float32",
            "device": "cpu",
            "concurrency": 1,
            **(facts or {}),
        },
        "summary": summary or {},
        "counts": dict.fromkeys(("cycles", "trial_cycles"), len(decode_cycles(cycles))),
    }
    (point / "metrics.json").write_text(json.dumps(content))
    plan = folder / "sweep.json"
    known = json.loads(plan.read_text())["points"] if plan.exists() else []
    plan.write_text(json.dumps({"points": [*known, {"point_id": point_id}]}))


def recount(point: Path) -> None:
    """Have a point whose cycles were changed say of itself what they now hold."""
    cycles = decode_cycles(pd.read_parquet(point / "cycles.parquet"))
    path = point / "requests.parquet"
    requests = pd.read_parquet(path)
    if "output_tokens" in requests.columns:
        columns = ["arm", "repeat", "block", "request_id"]
        emitted = measured(pd.read_parquet(point / "cycles.parquet")).groupby(columns)
        sums = emitted["num_emitted"].sum().reindex(pd.MultiIndex.from_frame(requests[columns]))
        requests["output_tokens"] = [list(range(int(length))) for length in sums.fillna(0)]
        requests.to_parquet(path, index=False)
    content = json.loads((point / "metrics.json").read_text())
    names = {"accepted": "num_accepted", "emitted": "num_emitted"}
    sums = {name: float(cycles[column].sum()) for name, column in names.items()}
    content["counts"] |= {"cycles": len(cycles), "trial_cycles": len(cycles)} | sums
    (point / "metrics.json").write_text(json.dumps(content))
