"""What `list` says: every group on one screen, or one group's options with a line each."""

from pathlib import Path

import pytest

from dspark_bench import cli
from dspark_bench.config.listing import list_options, overview
from dspark_bench.config.schema import GROUPS

_SCREEN = (80, 24)


def test_every_group_with_its_options_fits_one_screen() -> None:
    lines = overview(list_options(), _SCREEN[0]).splitlines()
    assert max(len(line) for line in lines) <= _SCREEN[0]
    assert len(lines) < _SCREEN[1]
    heads = [line.split()[0] for line in lines if line and not line.startswith(" ")]
    assert heads[:-1] == list(GROUPS)
    words = " ".join(lines).replace(",", "").split()
    assert [o.name for o in list_options() if o.name not in words] == []


def test_one_group_has_a_line_per_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["list", "scheduler"]) == 0
    lines = capsys.readouterr().out.splitlines()
    options = list_options(group="scheduler")
    assert [line.split()[0] for line in lines] == [f"scheduler={o.name}" for o in options]
    assert [line for line, o in zip(lines, options, strict=True) if o.summary not in line] == []


@pytest.mark.parametrize(("typed", "says"), [("sched", ""), ("schedler", "did you mean scheduler")])
def test_an_unknown_group_names_the_valid_ones(
    typed: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.execute(["list", typed]) == 2
    shown = capsys.readouterr().err
    assert f"no group '{typed}'" in shown and says in shown
    assert ", ".join(GROUPS) in shown and shown.count("\n") == 1


def test_users_options_are_listed_even_where_no_yaml_can_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "drafter").mkdir()
    (tmp_path / "drafter" / "mine.yaml").write_text("# dspark-bench run\n#\n# My own.\na: 1\n")
    (tmp_path / "drafter" / "broken.yaml").write_text("# Broken.\na: [\n")
    (tmp_path / "drafter" / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    assert cli.execute(["list", "--config-dir", str(tmp_path)]) == 0
    assert "mine" in capsys.readouterr().out
    assert cli.execute(["list", "drafter", "--config-dir", str(tmp_path)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "drafter=mine My own." in shown
    assert "drafter=broken Broken." in shown
    assert "drafter=bytes (cannot be read" in shown
