"""Where the time went, as it is printed."""

from dspark_bench.commands.time_lines import time_lines


def test_stages_of_all_points_the_longest_first() -> None:
    rows = [
        {"spent_turns_s": 60.2, "spent_model_s": 13.0, "spent_agreement_s": 0.1},
        {"spent_turns_s": 60.2, "spent_model_s": 12.0, "spent_checks_s": 31.0},
    ]
    assert time_lines(rows) == [
        "measured in 176 s: turns of all arms 120 s, checks of the output 31 s, "
        "prompts for S model 25 s"
    ]


def test_older_results_say_nothing() -> None:
    assert time_lines([{"wall_s": 3.0}, {"spent_turns_s": None}]) == []
