"""`workload.system_prompt` and `workload.max_prompt_tokens`: what they change, what they leave."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dspark_bench.config.compose import compose_point, hydra_session
from dspark_bench.config.point_config import to_point_config
from dspark_bench.core.errors import WorkloadError
from dspark_bench.measure.build_prompts import Prompts, build_prompts
from dspark_bench.measure.identity import HashCache, identify
from dspark_bench.models.checkpoint import read_tokenizer
from dspark_bench.workloads.domain import DomainWorkload
from dspark_bench.workloads.jsonl import JsonlWorkload
from dspark_bench.workloads.mixed import MixedWorkload
from dspark_bench.workloads.prompt import Message, Prompt, check_max_tokens, with_system
from tests.sweeps import tiny_overrides
from tests.tiny_models import TinyZoo

_USER, _OWN = Message("user", "Why?"), Message("system", "Be kind.")
_TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def _file(folder: Path, *entries: object) -> Path:
    path = folder / "p.jsonl"
    path.write_text("\n".join(map(json.dumps, entries)))
    return path


def _chat(*words: str) -> list[dict[str, Any]]:
    return [{"messages": [{"role": "user", "content": word}]} for word in words]


def _prompts(zoo: TinyZoo, folder: Path, *more: str) -> Prompts:
    changed = {"measure.calibration_requests": "0", "num_requests": "3"}
    changed |= dict(item.split("=", 1) for item in more)
    kept = [o for o in tiny_overrides(zoo, folder) if o.split("=", 1)[0] not in changed]
    with hydra_session():
        composed = compose_point([*kept, *(f"{key}={value}" for key, value in changed.items())])
    return build_prompts(to_point_config(composed, "tiny"))


def test_a_system_message_is_put_before_chats_that_have_none() -> None:
    chat, own = Prompt("a", "user", "Why?", (_USER,)), Prompt("b", "user", "", (_OWN, _USER))
    plain = Prompt("c", "user", "Once")
    assert with_system(chat, "Be brief.").messages == (Message("system", "Be brief."), _USER)
    assert with_system(chat, "Be brief.").text == "Be brief.\n\nWhy?"  # without a template
    assert with_system(own, "Be brief.") is own
    assert with_system(plain, "Be brief.") is plain
    assert with_system(chat, "").messages[0] == Message("system", "")
    assert with_system(chat, None) is chat


def test_the_system_prompt_leaves_the_split_and_says_who_goes_without(tmp_path: Path) -> None:
    path = _file(tmp_path, *_chat(*"abcdefghi"), {"prompt": "Once upon"})
    before, after = JsonlWorkload(str(path)), JsonlWorkload(str(path), system_prompt="Be brief.")
    for split in ("test", "calibration"):
        num = before.num_available(split)  # type: ignore[arg-type]
        found = [w.prompts(split, num, 0) for w in (before, after)]  # type: ignore[arg-type]
        assert [p.id for p in found[0]] == [p.id for p in found[1]]
        for prompt in found[1]:
            assert not prompt.messages or prompt.messages[0].content == "Be brief."
    assert before.notes == ()
    assert after.notes == (
        "1 of 10 prompts go without workload.system_prompt: they are plain text, or have a system "
        "message of their own",
    )


def test_messages_get_the_targets_template_without_a_word(
    tiny_zoo: TinyZoo, tmp_path: Path
) -> None:
    """Once a note said that there was no template where there was one."""
    template = tmp_path / "t.jinja"
    template.write_text(_TEMPLATE)
    path = _file(tmp_path, *_chat("one", "two", "three"))
    more = (f"workload.path={path}", f"workload.chat_template={template}")
    found = _prompts(tiny_zoo, tmp_path, *more, "workload.system_prompt=brief")
    assert found.notes == ()
    tokenizer = read_tokenizer(tiny_zoo.target)
    texts = {tokenizer.decode(list(request.prompt_tokens)) for request in found.requests}
    assert texts == {f"<system>brief<user>{word}<assistant>" for word in ("one", "two", "three")}


def test_more_tokens_than_allowed_are_too_long(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    """Counted, noted, and treated as `too_long` says; the template's tokens count."""
    path = _file(tmp_path, *_chat("hi", "word " * 30, "yes", "no"))
    more = (f"workload.path={path}", "workload.max_prompt_tokens=20")
    with pytest.raises(WorkloadError) as error:
        _prompts(tiny_zoo, tmp_path, *more, "num_requests=4")
    assert "valid: up to 20 (workload.max_prompt_tokens); 1 of 4 prompts" in str(error.value)
    skipped = _prompts(tiny_zoo, tmp_path, *more, "workload.too_long=skip")
    assert max(len(r.prompt_tokens) for r in skipped.requests) <= 20
    assert [r.prompt_id for r in skipped.requests if r.prompt_id == "2"] == []
    cut = _prompts(tiny_zoo, tmp_path, *more, "workload.too_long=cut", "num_requests=4")
    assert max(len(r.prompt_tokens) for r in cut.requests) == 20
    assert cut.num_too_long == 1
    assert any("more than 20 tokens and are cut" in note for note in cut.notes)


def test_a_limit_above_the_room_changes_nothing(tiny_zoo: TinyZoo, tmp_path: Path) -> None:
    path = _file(tmp_path, *_chat("hi", "word " * 30, "yes"))
    plain = _prompts(tiny_zoo, tmp_path, f"workload.path={path}")
    more = (f"workload.path={path}", "workload.max_prompt_tokens=100000")
    assert _prompts(tiny_zoo, tmp_path, *more) == plain


@pytest.mark.parametrize(
    "make",
    [
        lambda most: DomainWorkload("math", max_prompt_tokens=most),
        lambda most: MixedWorkload(max_prompt_tokens=most),
    ],
)
def test_the_embedded_prompts_can_be_limited_too(make: Callable[[int], DomainWorkload]) -> None:
    assert make(7).chat_format.max_prompt_tokens == 7


@pytest.mark.parametrize("value", [0, -1, 1.5, "many", True])
def test_a_limit_is_a_count(value: object) -> None:
    with pytest.raises(WorkloadError, match=r"workload.max_prompt_tokens is .*; valid: 1 or more"):
        check_max_tokens(value)


def test_a_system_prompt_is_text(tmp_path: Path) -> None:
    path = _file(tmp_path, *_chat("hi"))
    with pytest.raises(WorkloadError, match=r"workload.system_prompt is 5; valid: text, or null"):
        JsonlWorkload(str(path), system_prompt=5)  # type: ignore[arg-type]


def test_the_points_identity_is_that_of_its_prompts(tmp_path: Path) -> None:
    """A limit that lets every prompt pass makes no other point; results from before are found."""
    hashes = HashCache()
    with hydra_session():
        points = [
            to_point_config(compose_point(["num_requests=3", "drafter=none", *more]), "x")
            for more in ([], ["workload.max_prompt_tokens=400"])
        ]
    first, second = (identify(point, hashes) for point in points)
    assert first.point_id == second.point_id
    cut = replace(
        points[1],
        workload=replace(points[1].workload, arguments={"max_prompt_tokens": 9, "too_long": "cut"}),
    )
    assert identify(cut, hashes).point_id != first.point_id
