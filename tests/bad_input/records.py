"""Records whose tables can be read and whose values cannot be right, for `check`."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from tests.bad_input.case import Case
from tests.bad_input.edits import in_table, point_json, write
from tests.bad_input.gate import CHECK, GATE

_CYCLES: dict[str, Any] = {
    "num_accepted": (-1, 99, "x", np.nan),
    "verify_len": (-1, 99, np.inf),
    "num_drafted": (99, 2.5),
    "is_rejected": ("x", None),
    "is_warmup": ("no", None),
    "is_prefill": (7,),
    "request_id": (None, "a"),
    "repeat": ("a", None),
    "block": (-1,),
    "cycle": (0.5, 0),
    "t_verify_s": ("x", -1.0, np.nan),
    "expected_acceptance": ("x", 7.0),
}
_OVERLAPS: dict[str, Any] = {
    "above 1": [7.0] * 3,
    "negative": [-1.0] * 3,
    "of NaN": [float("nan")] * 3,
    "of text": ["a", "b", "c"],
    "of lists": [[1.0]] * 3,
}
_REQUESTS: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "prompts of null": (lambda f: f.assign(prompt_id=None), "requests.parquet is damaged"),
    "one prompt for all": (lambda f: f.assign(prompt_id="same"), "other prompts"),
    "one id for all": (lambda f: f.assign(request_id=1), "a cycle belongs to no request"),
    "hashes of null": (lambda f: f.assign(prompt_hash=None), "has other tokens"),
    "flags of text": (lambda f: f.assign(is_warmup="x"), "requests.parquet is damaged"),
    "no rows": (lambda f: f.iloc[:0], "a cycle belongs to no request"),
    "two prompts for each": (
        lambda f: pd.concat([f, f.assign(prompt_id="z")]),
        "requests.parquet is damaged in prompt_id",
    ),
}
_METRICS: dict[str, Callable[[Any], Any]] = {
    "concurrency of text": lambda m: m["facts"].update(concurrency="x"),
    "concurrency of NaN": lambda m: m["facts"].update(concurrency=float("nan")),
    "concurrency of a list": lambda m: m["facts"].update(concurrency=[1]),
}


def cases() -> list[Case]:
    """The catalogue's part."""
    found = [
        Case(
            "records",
            f"{column} of {value!r}",
            CHECK,
            "cycles.parquet is damaged in",
            in_table(GATE, "cycles.parquet", _assigned(column, value)),
        )
        for column, values in _CYCLES.items()
        for value in values
    ]
    found += [
        Case(
            "records",
            f"expected acceptance {name}",
            CHECK,
            "damaged in expected_acceptance; valid: lists of numbers from 0 to 1",
            in_table(GATE, "cycles.parquet", _listed(values)),
        )
        for name, values in _OVERLAPS.items()
    ]
    found += [
        Case(
            "records", f"requests: {name}", CHECK, says, in_table(GATE, "requests.parquet", change)
        )
        for name, (change, says) in _REQUESTS.items()
    ]
    found += [
        Case("records", f"metrics: {name}", CHECK, "is damaged", point_json(GATE, change))
        for name, change in _METRICS.items()
    ]
    return [
        *found,
        Case(
            "records",
            "every cycle twice",
            CHECK,
            "cycles.parquet is damaged in cycle; valid: each one once",
            in_table(GATE, "cycles.parquet", lambda f: pd.concat([f, f])),
        ),
        Case(
            "records",
            "cycles of no arm",
            CHECK,
            "no decode cycle of the speculative arm",
            in_table(GATE, "cycles.parquet", _assigned("arm", "x")),
        ),
        Case(
            "records",
            "an id longer than a folder's name",
            CHECK,
            "sweep.json is damaged",
            write(f"{GATE}/sweep.json", f'{{"points": [{{"point_id": "{"a" * 300}"}}]}}'),
        ),
    ]


def _assigned(column: str, value: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda frame: frame.assign(**{column: value})


def _listed(values: list[Any]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda frame: frame.assign(expected_acceptance=[values] * len(frame))
