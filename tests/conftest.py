"""Fixtures shared by all tests.

Nothing heavy is imported up here: with `-n`, the process that hands the tests out reads this file
before the others start, and runs no test itself.
"""

import gc
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.tiny_models import TinyZoo


def pytest_collectstart() -> None:
    """While everything is imported and collected nothing is garbage."""
    gc.disable()


def pytest_collection_finish() -> None:
    """From here on there is garbage; what has been collected stays, and is not looked at again."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tiny models gain nothing from more, and busy neighbours cost a lot."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def tiny_numbers_stay() -> Iterator[None]:
    """A process that trains takes them for 0, and here others compute after it."""
    import torch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "set_flush_denormal", lambda mode: True)
        yield


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
    from huggingface_hub import constants

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        yield


@pytest.fixture(scope="session")
def tiny_zoo(tmp_path_factory: pytest.TempPathFactory) -> "TinyZoo":
    """Tiny random checkpoints in the public layouts."""
    from tests.tiny_models import write_tiny_zoo

    return write_tiny_zoo(tmp_path_factory.mktemp("tiny_zoo"))


@pytest.fixture(scope="session", autouse=True)
def kept_compositions() -> Iterator[None]:
    """A third of a small sweep is Hydra reading the same files again."""
    from dspark_bench.commands import sweep_plan
    from tests.compositions import keeping

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep_plan, "compose_points", keeping())
        yield


@pytest.fixture(scope="session", autouse=True)
def coarse_pictures() -> Iterator[None]:
    """Tests read what a figure holds, none its pixels, whose packing takes the longest."""
    from dspark_bench.plots.style import Look

    fine = Look.rc.fget
    assert fine is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Look, "rc", property(lambda look: fine(look) | {"savefig.dpi": 40}))
        yield
