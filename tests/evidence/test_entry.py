"""How a bench ends."""

import pytest

from dspark_bench.core.errors import ResultsError
from dspark_bench.evidence.entry import run_bench


def test_an_error_is_one_line_and_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bench"])

    def main(rounds: int = 3) -> None:
        raise ResultsError(f"no points in {rounds} rounds; valid: one or more")

    with pytest.raises(SystemExit) as stop:
        run_bench(main, "bench-pairs")
    assert stop.value.code == 2
    assert capsys.readouterr().err == "bench-pairs: no points in 3 rounds; valid: one or more\n"


def test_options_are_those_of_main(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["bench", "--rounds", "7"])
    seen = []

    def main(rounds: int = 3) -> None:
        seen.append(rounds)

    with pytest.raises(SystemExit) as stop:
        run_bench(main, "bench-pairs")
    assert stop.value.code == 0 and seen == [7]
