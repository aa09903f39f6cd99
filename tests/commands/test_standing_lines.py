"""What a sweep says while it measures, where there is no terminal to draw on."""

from io import StringIO

from rich.console import Console

from dspark_bench.commands.display import SweepDisplay
from dspark_bench.measure.standing import Standing
from dspark_bench.metrics.intervals import Interval


def test_a_provisional_line_whenever_there_is_twice_as_much_and_one_at_every_look() -> None:
    out = StringIO()
    display = SweepDisplay(Console(file=out, width=200), 1)
    display.begin(["semi_ar gamma=4"])
    for units, is_look in ((12, False), (24, False), (36, False), (48, True), (60, False)):
        standing = Standing({"a": Interval(1.5, 1.4, 1.6, units)}, units, is_by_prompt=True)
        display.stand(standing, {"a": "semi_ar gamma=4"}, is_look)
    assert out.getvalue().splitlines() == [
        "after 24 prompts, provisional: semi_ar gamma=4 S 1.50 ±7.1%",
        "after 48 prompts: semi_ar gamma=4 S 1.50 ±7.1%",
    ]
