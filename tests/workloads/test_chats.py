"""`workload=chat`: the shipped questions, evenly mixed, and never one in both splits."""

from collections import Counter

import pytest

from dspark_bench.core.errors import WorkloadError
from dspark_bench.workloads.chats import DOMAINS, ChatWorkload
from dspark_bench.workloads.prompt import Message


def test_there_are_36_to_measure_and_12_for_calibration() -> None:
    workload = ChatWorkload()
    test, aside = workload.prompts("test", 36, 0), workload.prompts("calibration", 12, 0)
    assert (workload.num_available("test"), workload.num_available("calibration")) == (36, 12)
    assert len({prompt.id for prompt in (*test, *aside)}) == 48
    assert len({prompt.text for prompt in (*test, *aside)}) == 48
    assert Counter(prompt.domain for prompt in test) == dict.fromkeys(DOMAINS, 9)
    with pytest.raises(WorkloadError, match="37 test prompts wanted from workload chat"):
        workload.prompts("test", 37, 0)


def test_every_four_hold_one_of_each_kind_and_more_begin_with_the_fewer() -> None:
    workload = ChatWorkload()
    found = workload.prompts("test", 36, 5)
    rows = [[prompt.domain for prompt in found[i : i + 4]] for i in range(0, 36, 4)]
    assert all(set(row) == set(DOMAINS) for row in rows)
    assert len({tuple(row) for row in rows}) > 1
    assert workload.prompts("test", 10, 5) == found[:10]
    assert workload.prompts("test", 36, 6) != found


def test_each_is_one_question_of_a_user_that_a_template_takes() -> None:
    (prompt,) = ChatWorkload(system_prompt="Be brief.").prompts("test", 1, 0)
    system, user = prompt.messages
    assert system == Message("system", "Be brief.")
    assert user.role == "user"
    assert prompt.text == f"Be brief.\n\n{user.content}"
    assert all(len(p.messages) == 1 for p in ChatWorkload().prompts("test", 36, 0))
