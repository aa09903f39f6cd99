"""What is said of requests that run in a circle."""

from dspark_bench.commands.loop_lines import loop_lines


def test_a_line_for_points_that_have_some() -> None:
    row = {
        "degenerate_requests": 0.25,
        "speedup_not_degenerate": 1.5,
        "speedup_not_degenerate_ci_low": 1.25,
        "speedup_not_degenerate_ci_high": 1.75,
    }
    none = row | {"degenerate_requests": 0.0}
    shared = {"degenerate_requests": 0.5, "speedup_not_degenerate": None}
    assert list(loop_lines([row, none, {}, shared], lambda r: "ngram")) == [
        "ngram: 25% of the requests run in a circle, judged on the baseline's output; S without "
        "them 1.50 [1.25-1.75]",
        "ngram: 50% of the requests run in a circle, judged on the baseline's output; S without "
        "them -",
    ]
