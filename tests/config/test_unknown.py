"""Keys and options that do not exist: what was meant, and which option has them."""

from pathlib import Path

import pytest

from dspark_bench import cli
from dspark_bench.config.compose import conf_dir, search_path_override
from dspark_bench.config.unknown import explain_key, explain_option
from dspark_bench.config.wording import closest
from dspark_bench.core.errors import UsageError

_VALUES = {"gamma": 4, "load": {"_target_": "x", "concurrency": 1}, "measure": {"repeats": 1}}


@pytest.mark.parametrize(
    ("key", "option", "says"),
    [
        ("gama", None, "there is no key 'gama'; did you mean gamma?; valid: gamma, load, measure"),
        (
            "load.rate",
            "closed",
            "load=closed has no key 'rate'; load=constant|gamma|poisson has it",
        ),
        ("load.concurency", "closed", "did you mean concurrency?; valid: concurrency"),
        ("measure.repeat", "default", "measure has no key 'repeat'; did you mean repeats?"),
        ("nowhere.at.all", None, "there is no key 'nowhere'"),
        ("measure.a.b", "default", "measure has no key 'a'"),
    ],
)
def test_an_unknown_key_is_explained(key: str, option: str | None, says: str) -> None:
    shown = explain_key(key, _VALUES, option, [conf_dir()])
    assert says in shown and "+" not in shown


def test_an_unknown_option_is_explained() -> None:
    folders = [conf_dir()]
    assert explain_option("Could not find 'drafter/eagle3'", folders).endswith("drafter=ar?")
    assert explain_option("Could not find 'drafter/semi_at'", folders).endswith("drafter=semi_ar?")
    assert explain_option("Could not find 'drafter/eagl'", folders).endswith("drafter=eagle?")
    assert explain_option("Could not find 'drafter/zzz'", folders) == "Could not find 'drafter/zzz'"
    assert "[launchers]" in explain_option("Could not find 'hydra/launcher/joblib'", folders)
    assert closest("stop", ["top_p", "top_k"]) is None


def test_hydras_advice_to_append_a_typo_is_gone(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.execute(["run", "gama=2"]) == 2
    shown = capsys.readouterr().err
    assert "did you mean gamma?" in shown and "+gama" not in shown and shown.count("\n") == 1


def test_a_broken_file_stops_only_who_chooses_it(tmp_path: Path) -> None:
    (tmp_path / "drafter").mkdir()
    (tmp_path / "drafter" / "broken.yaml").write_text("a: [")
    (tmp_path / "drafter" / "user.yaml").write_text("defaults: [broken]\n")
    assert search_path_override(tmp_path, ["drafter=ar", "gamma=2"])
    for chosen in (
        "drafter=broken",
        "drafter=ar,broken",
        "drafter=choice(ar,broken)",
        "drafter=user",
    ):
        with pytest.raises(UsageError, match=r"broken\.yaml"):
            search_path_override(tmp_path, [chosen])
