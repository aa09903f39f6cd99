"""Which texts are names on the hub, which are paths, and which are neither."""

from pathlib import Path

import pytest

from dspark_bench.core.errors import CheckpointError
from dspark_bench.models.hub_name import HubName, parse_hub_name


@pytest.mark.parametrize(
    ("text", "repository", "revision"),
    [
        ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B", "main"),
        ("org_1/a.b-c_d", "org_1/a.b-c_d", "main"),
        ("org/name@v1.0", "org/name", "v1.0"),
        ("org/name@refs/pr/3", "org/name", "refs/pr/3"),
        ("org/name@" + "a1" * 20, "org/name", "a1" * 20),
    ],
)
def test_names(text: str, repository: str, revision: str) -> None:
    assert parse_hub_name(text) == HubName(repository, revision)


@pytest.mark.parametrize(
    "text",
    ["", "model", "/models/x", "./org/name", "../name", "a/b/c", "org/", "x" * 5000, "org/@v"],
)
def test_paths(text: str) -> None:
    assert parse_hub_name(text) is None


def test_what_exists_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "name").mkdir(parents=True)
    (tmp_path / "org" / "file@v1").write_text("")
    assert parse_hub_name("org/name") is None
    assert parse_hub_name("org/file@v1") is None
    assert parse_hub_name("org/name@v1") == HubName("org/name", "v1")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("org/na me", "'na me' has other characters"),
        ("org/-name", "'-name' has other characters"),
        ("örg/name", "'örg' has other characters"),
        (f"org/{'n' * 97}", "more than 96 of them"),
        ("org/a--b", "it holds '--'"),
        ("org/a..b", "it holds '..'"),
        ("org/name.git", "it ends with '.git'"),
        ("org/name@", "'' cannot be a branch"),
        ("org/name@../../x", "'../../x' cannot be a branch"),
        ("org/name@a b", "'a b' cannot be a branch"),
        ("https://hub.example/org/name", "is a URL"),
    ],
)
def test_malformed_names_are_one_line(text: str, reason: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        parse_hub_name(text)
    assert reason in str(caught.value)
    assert str(caught.value).endswith(
        "valid: a folder, or ORG/NAME[@REV] of a repository on the hub"
    )
    assert "\n" not in str(caught.value)
