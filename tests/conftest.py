"""Fixtures shared by all tests."""

import pytest

from tests.tiny_models import TinyZoo, write_tiny_zoo


@pytest.fixture(scope="session")
def tiny_zoo(tmp_path_factory: pytest.TempPathFactory) -> TinyZoo:
    """Tiny random checkpoints in the public layouts."""
    return write_tiny_zoo(tmp_path_factory.mktemp("tiny_zoo"))
