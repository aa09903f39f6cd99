"""Fixtures shared by all tests."""

import tempfile
from collections.abc import Iterator

import pytest
import torch
from huggingface_hub import constants

from dspark_bench.commands import sweep_plan
from tests.compositions import keeping
from tests.tiny_models import TinyZoo, write_tiny_zoo

torch.set_num_threads(1)  # tiny models gain nothing from more, and busy neighbours cost a lot


@pytest.fixture(scope="session", autouse=True)
def own_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Timed runs register in the temporary folder: a sweep elsewhere must not reach the tests."""
    folder = str(tmp_path_factory.mktemp("tmp"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield


@pytest.fixture(scope="session", autouse=True)
def no_hub() -> Iterator[None]:
    """Nobody's name is looked up on a real hub: tests of names bring their own (tests/hub.py)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        yield


@pytest.fixture(scope="session")
def tiny_zoo(tmp_path_factory: pytest.TempPathFactory) -> TinyZoo:
    """Tiny random checkpoints in the public layouts."""
    return write_tiny_zoo(tmp_path_factory.mktemp("tiny_zoo"))


@pytest.fixture(scope="session", autouse=True)
def kept_compositions() -> Iterator[None]:
    """A third of a small sweep is Hydra reading the same files again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep_plan, "compose_points", keeping())
        yield
