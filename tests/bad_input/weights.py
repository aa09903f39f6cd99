"""Weights: headers of safetensors files, shapes, names, and numbers that are none."""

from collections.abc import Callable
from typing import Any

import torch

from tests.bad_input.case import Case, Prepare, overridden
from tests.bad_input.edits import edit_bytes, header, length, poison, tensors

_EMBED = "model.embed_tokens.weight"
_HEADERS: dict[str, Callable[[bytes], bytes]] = {
    "empty file": lambda content: b"",
    "seven bytes": lambda content: content[:7],
    "header of length zero": length(0),
    "header of length one": length(1),
    "header longer than the file": length(10**9),
    "header of the largest length": length(2**64 - 1),
    "header of no JSON": header(lambda h: "not json at all"),
    "header of a JSON list": header(lambda h: "[]"),
    "header nested without end": header(lambda h: '{"a":' * 50_000 + "1" + "}" * 50_000),
    "header not UTF-8": lambda content: content[:9] + b"\xff\xfe" + content[11:],
    "offsets past the end": header(lambda h: h[_first(h)].update(data_offsets=[0, 10**12])),
    "negative offsets": header(lambda h: h[_first(h)].update(data_offsets=[-8, 8])),
    "offsets backwards": header(lambda h: h[_first(h)].update(data_offsets=[64, 0])),
    "offsets that overlap": header(
        lambda h: h[_second(h)].update(data_offsets=h[_first(h)]["data_offsets"])
    ),
    "a key twice": header(
        lambda h: (
            '{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, '
            '"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}'
        )
    ),
    "a shape that does not fit its bytes": header(lambda h: h[_first(h)].update(shape=[10**9])),
    "a negative shape": header(lambda h: h[_first(h)].update(shape=[-1])),
    "a shape that overflows": header(lambda h: h[_first(h)].update(shape=[2**62, 2**62])),
    "an unknown type": header(lambda h: h[_first(h)].update(dtype="F7")),
    "no offsets": header(lambda h: h[_first(h)].pop("data_offsets")),
    "bytes after the last tensor": lambda content: content + b"tail" * 100,
    "cut off in a tensor": lambda content: content[: len(content) // 2],
    "a pickle file": lambda content: b"\x80\x04\x95\x00\x00\x00\x00",
    "a zip file": lambda content: b"PK\x03\x04" + content[4:],
    "an HTML page": lambda content: b"<!DOCTYPE html><title>404</title>",
    "a pointer of Git LFS": lambda content: (
        b"version https://git-lfs.example/spec/v1\noid sha256:0\n"
    ),
}
_WEIGHTS: dict[str, tuple[Prepare, str]] = {
    "target: a tensor of another shape": (
        tensors("target", lambda t: t.update({_EMBED: t[_EMBED][:, :16]})),
        "(320, 16); expected (320, 32)",
    ),
    "target: a tensor of no dimension": (
        tensors("target", lambda t: t.update({_EMBED: torch.tensor(1.0)})),
        "expected (320, 32)",
    ),
    "target: a tensor missing": (
        tensors("target", lambda t: t.pop("model.norm.weight")),
        "lacks the tensor 'model.norm.weight'",
    ),
    "target: a tensor nobody asked for": (
        tensors("target", lambda t: t.update({"model.layers.0.adapter.weight": torch.ones(2)})),
        "model.layers.0.adapter.weight",
    ),
    "target: tensors of another naming": (
        tensors("target", lambda t: [t.update({f"x.{k}": t.pop(k)}) for k in list(t)]),
        "lacks the tensor",
    ),
    "target: whole numbers": (
        tensors("target", lambda t: t.update({_EMBED: t[_EMBED].to(torch.int8)})),
        "int8",
    ),
    "target: complex numbers": (
        tensors("target", lambda t: t.update({_EMBED: t[_EMBED].to(torch.complex64)})),
        "complex64",
    ),
    "target: a NaN": (poison("target", _EMBED, float("nan")), f"{_EMBED!r} holds"),
    "target: an infinity": (
        poison("target", "model.layers.1.mlp.up_proj.weight", float("inf")),
        "'model.layers.1.mlp.up_proj.weight' holds",
    ),
    "drafter: a NaN": (
        poison("semi_ar", "markov_head.markov_w2.weight", float("nan")),
        "'markov_head.markov_w2.weight' holds",
    ),
    "drafter: an infinity": (
        poison("semi_ar", "fc.weight", float("-inf")),
        "'fc.weight' holds",
    ),
    "drafter: a tensor of another shape": (
        tensors("semi_ar", lambda t: t.update({"fc.weight": torch.ones(32, 32)})),
        "(32, 32); expected (32, 64)",
    ),
    "drafter: a tensor missing": (
        tensors("semi_ar", lambda t: t.pop("confidence_head.proj.bias")),
        "lacks the tensor 'confidence_head.proj.bias'",
    ),
    "drafter: a tensor nobody asked for": (
        tensors("semi_ar", lambda t: t.update({"layers.7.mlp.up_proj.weight": torch.ones(2)})),
        "layers.7.mlp.up_proj.weight",
    ),
    "drafter: a table of a reduced vocabulary": (
        tensors("semi_ar", lambda t: t.update({"d2t": torch.zeros(32, dtype=torch.int64)})),
        "holds the tensor 'd2t', not asked for by its config.json: a reduced vocabulary",
    ),
    "drafter: a gate beside a head without one": (
        tensors("semi_ar", lambda t: t.update({"markov_head.gate_proj.bias": torch.ones(8)})),
        "the head that markov_head_type 'gated' names",
    ),
    "target: eight-bit numbers": (
        tensors("target", lambda t: t.update({_EMBED: t[_EMBED].to(torch.float8_e4m3fn)})),
        "has dtype float8_e4m3fn: quantised weights are not read",
    ),
    "drafter: no tensor at all": (
        tensors("semi_ar", lambda t: t.clear()),
        "lacks the tensor",
    ),
}


def cases() -> list[Case]:
    """The catalogue's part."""
    sweep = overridden("sweep")
    found = [
        Case(
            "safetensors",
            f"{place}: {name}",
            sweep,
            f"{place}/model.safetensors",
            edit_bytes(f"{place}/model.safetensors", change),
        )
        for place in ("target", "semi_ar")
        for name, change in _HEADERS.items()
    ]
    found += [
        Case("weights", name, sweep, says, prepare) for name, (prepare, says) in _WEIGHTS.items()
    ]
    found += [
        Case("weights", f"{name}: finite, but too large to compute with", sweep, "NaN", prepare, 4)
        for name in ("target", "semi_ar")
        for prepare in (tensors(name, _enlarge),)
    ]
    return found


def _enlarge(found: dict[str, Any]) -> None:
    """Products of these overflow single precision."""
    for name, tensor in found.items():
        if "up_proj" in name:
            found[name] = torch.full_like(tensor, 3e38)


def _first(found: dict[str, Any]) -> str:
    return sorted(name for name in found if name != "__metadata__")[0]


def _second(found: dict[str, Any]) -> str:
    return sorted(name for name in found if name != "__metadata__")[1]
