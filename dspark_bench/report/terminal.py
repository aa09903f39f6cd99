"""`dspark-bench recommend`: the answer for every setting, as lines."""

from collections.abc import Callable
from pathlib import Path

from dspark_bench.report.reading import gather
from dspark_bench.report.recommend import left_out, recommend
from dspark_bench.report.warnings import find_warnings
from dspark_bench.report.wording import headline, lines


def print_recommendations(path: Path, say: Callable[[str], None]) -> None:
    """Print what `path` recommends, setting by setting, and then every doubt.

    Raises ResultsError if nothing can be ranked.
    """
    gathered = gather(path)
    found = recommend(gathered)
    say(headline(found))
    for item in found:
        say("")
        for line in lines(item):
            say(line)
    for point, reason in left_out(gathered):
        say(f"not ranked: {point.sweep}/{point.point_id}: {reason}")
    for warning in find_warnings(gathered):
        say(f"warning: {warning}")
