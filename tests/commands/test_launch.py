"""What a launcher leaves out is said, and Hydra's own complaints take one line."""

import pytest
from omegaconf import DictConfig

from dspark_bench.commands.launch import launch
from dspark_bench.core.errors import UsageError


def _no_room(config: DictConfig) -> str:
    raise OSError(28, "No space left on device")


def _bug(config: DictConfig) -> str:
    raise KeyError("bug")


def test_a_job_folder_that_cannot_be_made_is_a_reason(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(str(tmp_path))
    assert launch(_no_room, ["name=x"]) == "left no result: No space left on device"


def test_a_bug_of_ours_is_not_taken_for_a_launchers(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(str(tmp_path))
    with pytest.raises(KeyError, match="bug"):
        launch(_bug, ["name=x"])


def test_a_launcher_that_does_not_exist_takes_one_line() -> None:
    with pytest.raises(UsageError, match="hydra/launcher/absent"):
        launch(_bug, ["name=x", "hydra/launcher=absent"])
