"""One point is, two points are."""

from dspark_bench.core.wording import is_or_are, number_of


def test_numbers_agree_with_their_nouns_and_verbs() -> None:
    said = [f"{number_of(n, 'point')} {is_or_are(n)}" for n in (0, 1, 2)]
    assert said == ["0 points are", "1 point is", "2 points are"]
