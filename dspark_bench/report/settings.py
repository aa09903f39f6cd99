"""Which points may be compared, and what a point and its circumstances are called.

A configuration is what a user chooses (drafter, draft length, scheduler, costs, calibration); a
setting is what is given (target, prompts, sampling, load, machine). S is compared within a setting.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from dspark_bench.reading.points import Point

CONFIGURED = ("drafter", "tree", "scheduler", "cost", "calibrator")
NO_DRAFTER = "none"
_PLAIN = "fixed"
_CHAIN = "none"
SETTINGS = (
    *("workload", "load", "concurrency", "rate", "temperature", "top_p", "top_k"),
    *(
        "max_new_tokens",
        "acceptance",
        "target",
        "target_hash",
        "num_requests",
        "prompts_hash",
        "seed",
    ),
    *("dtype", "device", "threads", "speedup_basis", "machine_id"),
)
_GIVEN_GROUPS = ("load", "lengths", "workload", "acceptance", "slo")
_ALWAYS_SAID = ("workload", "load", "concurrency", "rate")
_ALWAYS_CALLED = ("drafter", "drafter_name", "tree", "gamma", "scheduler")
_TWICE_SAID = ("drafter.path", "workload.path", "load.concurrency", "load.rate")
"""Keys that a name, a hash or a column says better."""

Values = dict[str, str]


def setting_of(point: Point) -> Values:
    """What is given, by name; points are comparable if these are equal."""
    values = {name: _value(point, name) for name in SETTINGS}
    for key, value in sorted(point.keys.items()):
        group, _, rest = key.partition(".")
        if rest and group in _GIVEN_GROUPS and not _is_unsaid(key):
            values[key] = point.names.get(key) or _plain(value)
    return values


def configuration_of(point: Point) -> Values:
    """What is chosen, by name. `fixed` reads neither costs nor calibrated confidences."""
    values = {"drafter": point.text("drafter"), "gamma": point.text("gamma")}
    values["drafter_name"] = point.text("drafter_name")
    values["drafter_hash"] = point.text("drafter_hash")
    is_fixed = point.text("scheduler") == _PLAIN
    for key, value in point.keys.items():
        group = key.partition(".")[0]
        if is_fixed and group in ("cost", "calibrator"):
            continue
        if group == "tree" and point.keys.get("tree") == _CHAIN:
            continue
        if group in CONFIGURED and key != "drafter" and not _is_unsaid(key):
            values[key] = point.names.get(key) or _plain(value)
    values.setdefault("scheduler", point.text("scheduler"))
    return values


def varying(values: Sequence[Mapping[str, str]]) -> list[str]:
    """Names whose value differs somewhere; one that splits no further than another is left out,
    so that a workload is named and not the hash of its prompts.
    """
    names = dict.fromkeys(name for item in values for name in item)
    kept: list[str] = []
    num_groups = 1
    for name in names:
        found = len({tuple(item.get(key, "") for key in (*kept, name)) for item in values})
        if found > num_groups:
            kept.append(name)
            num_groups = found
    return kept


def setting_label(setting: Mapping[str, str], differing: Sequence[str]) -> str:
    """Workload and load in words, then whatever else tells settings apart."""
    load = setting.get("load") or "closed"
    parts = [setting.get("workload") or "unknown workload"]
    if load == "closed":
        count = setting.get("concurrency") or "?"
        parts.append("1 request at a time" if count == "1" else f"{count} requests at once")
    else:
        rate = setting.get("rate")
        parts.append(f"{load} at {rate} requests/s" if rate else load)
    return ", ".join([*parts, *_others(setting, differing)])


def traffic_label(setting: Mapping[str, str], differing: Sequence[str]) -> str:
    """The same without the load."""
    workload = setting.get("workload") or "unknown workload"
    return ", ".join([workload, *_others(setting, differing)])


def _others(setting: Mapping[str, str], differing: Sequence[str]) -> list[str]:
    names = [name for name in differing if name not in _ALWAYS_SAID]
    return [f"{name}={_short(name, setting.get(name, ''))}" for name in names]


def configuration_label(chosen: Mapping[str, str], differing: Sequence[str]) -> str:
    """Such as `semi_ar at gamma 7 with hardware_aware`."""
    if chosen["drafter"] == NO_DRAFTER:
        return "no speculation"
    label = f"{_drafter_label(chosen)} at gamma {chosen['gamma']} with {chosen['scheduler']}"
    others = [name for name in differing if name not in _ALWAYS_CALLED]
    said = [f"{name}={_short(name, chosen[name])}" for name in others if chosen.get(name)]
    return f"{label} ({', '.join(said)})" if said else label


def _drafter_label(chosen: Mapping[str, str]) -> str:
    """What drafts, what its file is called unless that says the same, and its tree."""
    names = (chosen["drafter"], chosen.get("drafter_name"), chosen.get("tree"))
    return " ".join(filter(None, dict.fromkeys(names)))


def short_label(chosen: Mapping[str, str], differing: Sequence[str]) -> str:
    """Such as `semi_ar gamma 7 threshold 0.6`: drafter and length, the scheduler unless it is
    `fixed`, and what else differs.
    """
    if chosen["drafter"] == NO_DRAFTER:
        return "no speculation"
    parts = [_drafter_label(chosen), f"gamma {chosen['gamma']}"]
    others = [name for name in differing if name not in _ALWAYS_CALLED and chosen.get(name)]
    ends = [name.rpartition(".")[2] for name in others]
    scheduler = chosen["scheduler"]
    parts += [] if scheduler == _PLAIN or scheduler in ends else [scheduler]
    for name, end in zip(others, ends, strict=True):
        called = end if ends.count(end) == 1 else name
        parts.append(f"{called.removesuffix('_hash')} {_short(name, chosen[name])}")
    return " ".join(filter(None, parts))


def order_of(setting: Mapping[str, str]) -> tuple[str, str, float, float]:
    """Settings by workload, then by rising load."""
    return (
        setting.get("workload", ""),
        setting.get("load", ""),
        _number(setting.get("concurrency", "")),
        _number(setting.get("rate", "")),
    )


def _is_unsaid(key: str) -> bool:
    return key in _TWICE_SAID or key.endswith("._target_")


def _value(point: Point, name: str) -> str:
    if name == "machine_id":
        return str(point.environment.get(name) or "")
    cell = point.text(name)
    return _plain(cell if cell else point.keys.get(name))


def _plain(value: Any) -> str:
    """One spelling per value: 1, 1.0 and '1' are the same."""
    if value is None:
        return ""
    text = str(value)
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else str(number)


def _short(name: str, value: str) -> str:
    return value[:8] if name.endswith(("_hash", "_id")) else value or "-"


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
