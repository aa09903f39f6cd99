"""The keys that are advised are those that decide how long a measurement is."""

import pytest

from dspark_bench.metrics.more_units import Ending, more_units

_FINER = "a measure.precision that is not reached before"


@pytest.mark.parametrize(
    ("units", "is_by_prompt", "ending", "expected"),
    [
        (6, True, Ending.REPEATS, "num_requests=6 or more"),
        (12, False, Ending.REPEATS, "measure.repeats=12 or more"),
        (6, True, Ending.PRECISION, "num_requests=6 or more"),
        (12, True, Ending.PRECISION, "num_requests=12 or more"),
        (25, True, Ending.PRECISION, "num_requests=25 or more and measure.max_rounds=3 or more"),
        (
            *(60, True, Ending.PRECISION),
            f"num_requests=60 or more, measure.max_rounds=5 or more and {_FINER}",
        ),
        (6, False, Ending.PRECISION, "measure.max_rounds=6 or more"),
        (12, False, Ending.PRECISION, f"measure.max_rounds=12 or more and {_FINER}"),
        (12, False, Ending.SIGNAL, "going on with the same command"),
        (12, True, Ending.SIGNAL, "going on with the same command"),
    ],
)
def test_the_advice_names_what_decides(
    units: int, is_by_prompt: bool, ending: Ending, expected: str
) -> None:
    assert more_units(units, is_by_prompt, ending) == expected
