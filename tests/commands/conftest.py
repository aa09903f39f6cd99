"""What tests of several commands share."""

import pytest

from dspark_bench.commands import verify
from dspark_bench.measure import law_checks, rule_pairs


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks of laws take a second or two: enough for what these tests plant."""
    monkeypatch.setattr(verify, "DISTRIBUTION_REQUESTS", 4_000)
    monkeypatch.setattr(verify, "EMITTED_TOKENS", 1_024)
    monkeypatch.setattr(law_checks, "SHORT_DISTRIBUTION_REQUESTS", 2_000)
    monkeypatch.setattr(rule_pairs, "PAIR_REQUESTS", 400)
    monkeypatch.setattr(rule_pairs, "PAIR_TOKENS", 32)
