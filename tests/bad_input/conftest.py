"""What the tests of bad input share."""

from pathlib import Path

import pytest

from tests.bad_input.stock import write_stock


@pytest.fixture(scope="session")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad-input") / "stock"
    write_stock(folder)
    return folder
