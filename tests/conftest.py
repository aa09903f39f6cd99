"""Fixtures shared by all tests."""

import pytest
import torch

from tests.tiny_models import TinyZoo, write_tiny_zoo

torch.set_num_threads(1)  # tiny models gain nothing from more, and busy neighbours cost a lot


@pytest.fixture(scope="session")
def tiny_zoo(tmp_path_factory: pytest.TempPathFactory) -> TinyZoo:
    """Tiny random checkpoints in the public layouts."""
    return write_tiny_zoo(tmp_path_factory.mktemp("tiny_zoo"))
