"""What tests of reports share."""

import pytest

from dspark_bench.report import page


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what a report says in words and tables: its pictures take most of its time."""
    monkeypatch.setattr(page, "draw_figures", lambda *_: ((), ()))
