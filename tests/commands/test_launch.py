"""What a launcher leaves out is said, and Hydra's own complaints take one line."""

import pytest
from hydra import compose
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from omegaconf import DictConfig, OmegaConf

from dspark_bench.commands.launch import launch, run_here
from dspark_bench.config.compose import hydra_session
from dspark_bench.config.schema import CONFIG_NAME, LAUNCH_NAME
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


def test_blocks_run_here_in_their_order_and_what_ends_them_is_told_apart() -> None:
    seen: list[int] = []

    def full(index: int) -> str:
        seen.append(index)
        if index == 1:
            raise OSError(28, "No space left on device")
        return "done"

    def bug(index: int) -> str:
        raise KeyError("bug")

    assert run_here(full, 1) is None
    assert run_here(full, 3) == "left no result: No space left on device"
    assert seen == [0, 0, 1]
    with pytest.raises(KeyError, match="bug"):
        run_here(bug, 1)


def test_a_launcher_that_does_not_exist_takes_one_line() -> None:
    with pytest.raises(UsageError, match="hydra/launcher/absent"):
        launch(_bug, ["name=x", "hydra/launcher=absent"])


def test_a_job_is_composed_once_and_told_apart_by_the_key_that_is_added(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(str(tmp_path))
    composed, seen = [], []
    original = ConfigLoaderImpl.load_sweep_config

    def counted(
        self: ConfigLoaderImpl, master_config: DictConfig, sweep_overrides: list[str]
    ) -> DictConfig:
        composed.append(sweep_overrides)
        return original(self, master_config, sweep_overrides)

    def task(config: DictConfig) -> str:
        seen.append(config["block"])
        return "done"

    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", counted)
    assert launch(task, ["name=x", "+block=0,1"]) is None
    assert seen == [0, 1]
    assert len(composed) == 2


def test_hydras_own_settings_are_those_that_cfg_shows() -> None:
    with hydra_session():
        shown, launched = (
            OmegaConf.to_container(compose(name, return_hydra_config=True).hydra)
            for name in (CONFIG_NAME, LAUNCH_NAME)
        )
    assert isinstance(shown, dict) and isinstance(launched, dict)
    for key in ("sweep", "output_subdir", "job_logging", "hydra_logging", "launcher", "sweeper"):
        assert launched[key] == shown[key]
    assert launched["job"]["chdir"] is shown["job"]["chdir"] is False


def test_every_block_runs_here() -> None:
    seen: list[int] = []
    assert run_here(lambda index: seen.append(index) or "done", 3) is None
    assert seen == [0, 1, 2]
