"""Columns of summary.csv that no record holds: what a point's models, prompts and machine are."""

import resource
import sys
from typing import Any

import torch

from dspark_bench.config.point_config import PointConfig
from dspark_bench.measure.build import PointObjects
from dspark_bench.measure.identity import Identity
from dspark_bench.models.config_values import read_json
from dspark_bench.models.draft_formats.reading import read_any_draft_config
from dspark_bench.models.hub import HubModel


def point_facts(
    point: PointConfig, objects: PointObjects, identity: Identity, verification: str
) -> dict[str, Any]:
    """Identity and settings of a row of summary.csv. verification: name of its verdict's file."""
    drafter = objects.drafter
    return {
        "target_hash": identity.target_hash,
        "drafter_hash": identity.drafter_hash,
        **_from_hub("target", point.target_hub),
        **_from_hub("drafter", point.drafter_hub),
        "prompts_hash": identity.prompts_hash,
        "n_prompts_too_long": objects.prompts.num_too_long,
        "dtype": str(objects.target.dtype).removeprefix("torch."),
        "device": objects.target.device.type,
        "kernels": objects.target.kernel_choice.name,
        "threads": torch.get_num_threads(),
        "concurrency": objects.load.max_concurrency,
        "rate": point.load.arguments.get("rate"),
        "gamma_trained": None if drafter is None else drafter.spec.max_gamma,
        "tree_nodes": None if objects.tree is None else objects.tree.spec.num_nodes,
        "confidence_kind": _confidence_kind(objects),
        "falls_short": drafter is not None and drafter.spec.falls_short,
        "train_seed": _train_seed(point),
        **_drafter_shape(point),
        "verification": verification,
        "num_target_weight_bytes": objects.target.num_weight_bytes,
    }


def _confidence_kind(objects: PointObjects) -> str | None:
    """Where a drafter's confidences come from; None of trees, and without any."""
    drafter = objects.drafter
    if drafter is None or objects.tree is not None or not drafter.spec.has_confidence:
        return None
    return drafter.spec.confidence_kind


def _from_hub(role: str, model: HubModel | None) -> dict[str, str]:
    """What a name on the hub stood for; nothing of a folder."""
    if model is None:
        return {}
    names = {"repository": model.repository, "revision": model.revision, "commit": model.commit}
    return {f"{role}_{name}": text for name, text in names.items()}


def _train_seed(point: PointConfig) -> int | None:
    """Seed that the drafter was trained with, where its manifest says so."""
    path = None if point.drafter_dir is None else point.drafter_dir / "manifest.json"
    if path is None or not path.is_file():
        return None
    seed = read_json(path).get("seed")
    return seed if isinstance(seed, int) else None


def _drafter_shape(point: PointConfig) -> dict[str, Any]:
    """Class, decoder layers and head of a drafter whose checkpoint has a `config.json`."""
    component = point.drafter
    known: dict[str, Any] = {"drafter_class": None, "drafter_layers": None, "drafter_head": None}
    if component.class_path is None:
        return known
    known["drafter_class"] = component.class_path.split(".")[-2]
    path = None if point.drafter_dir is None else point.drafter_dir / "config.json"
    if path is None or not path.is_file():
        return known
    config = read_any_draft_config(path.parent) if component.is_own else None
    if config is not None:
        return known | {
            "drafter_layers": config.model.num_hidden_layers,
            "drafter_head": config.head_type if config.markov_rank else None,
        }
    content = read_json(path)
    layers = content.get("draft_num_hidden_layers") or content.get("num_hidden_layers")
    has_head = bool(content.get("markov_rank"))
    return known | {
        "drafter_layers": layers if isinstance(layers, int) else None,
        "drafter_head": (content.get("markov_head_type") or "vanilla") if has_head else None,
    }


def peak_memory_bytes() -> int:
    """Largest resident size of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
