"""What a block drafter keeps of committed tokens: the same compiled and in torch."""

from pathlib import Path

import torch

import dspark_bench
from dspark_bench.models.block_backbone import ContextProjector
from dspark_bench.models.checkpoint import read_tensors
from dspark_bench.models.draft_config import DSPARK
from dspark_bench.models.draft_formats.reading import read_draft_config
from dspark_bench.models.kernels.choice import compiled_kernels
from dspark_bench.models.kernels.interface import Kernels
from dspark_bench.models.kv_cache import KVCache
from dspark_bench.models.rotary import Rotary

CPU = torch.device("cpu")
ZOO = Path(dspark_bench.__file__).parent / "zoo"
SLOTS = [40 * 2 + 7, 3, 40 * 2 + 8, 4]
POSITIONS = [7, 3, 8, 4]


def cache_after(kernels: Kernels | None) -> KVCache:
    folder = ZOO / "drafters" / "semi_ar"
    config = read_draft_config(folder, DSPARK)
    model = config.model
    tensors = read_tensors(folder, torch.float32, CPU)
    projector = ContextProjector(config, tensors, kernels)
    depth, is_compiled = model.num_hidden_layers, kernels is not None
    cache = KVCache(model, depth, 3, 40, torch.float32, CPU, is_compiled)
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(4, config.num_taps * config.target_hidden_size, generator=generator)
    rotation = Rotary(model, 40, CPU).at(torch.tensor(POSITIONS))
    projector.write(features, rotation, torch.tensor(SLOTS), cache)
    return cache


def test_keys_and_values_of_all_layers_lie_where_they_belong() -> None:
    kernels = compiled_kernels().kernels
    assert kernels is not None
    found, expected = cache_after(kernels), cache_after(None)
    for own, other in ((found.keys, expected.keys), (found.values, expected.values)):
        assert own.shape[0] >= 2  # layers
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-5)
        written = own.flatten(1, 2).abs().amax((0, 2, 3)) > 0
        assert written.nonzero().flatten().tolist() == sorted(SLOTS)
    assert not torch.allclose(found.keys[0], found.keys[1])
