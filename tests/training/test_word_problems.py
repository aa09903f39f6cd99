"""Word problems: determinism, arithmetic, and the format that prompts and scores rely on."""

from __future__ import annotations

import ast
import re
from fractions import Fraction

import pytest

from dspark_bench.training.word_problems import WordProblem, generate_problems, stated_answer

_EQUATION = re.compile(r"(\d+(?: [-+*/] \d+)+) = (\d+)")


@pytest.fixture(scope="module")
def problems() -> list[WordProblem]:
    return list(generate_problems(seed=3, count=2000))


def _value(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return Fraction(node.value)
    assert isinstance(node, ast.BinOp)
    left, right = _value(node.left), _value(node.right)
    match node.op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.Div():
            return left / right
    raise AssertionError(f"unexpected operator {node.op}")


def test_equal_seeds_give_equal_problems(problems: list[WordProblem]) -> None:
    assert list(generate_problems(seed=3, count=2000)) == problems
    assert list(generate_problems(seed=4, count=20)) != problems[:20]


def test_questions_are_distinct(problems: list[WordProblem]) -> None:
    assert len({problem.question for problem in problems}) == len(problems)


def test_every_step_states_a_true_equation(problems: list[WordProblem]) -> None:
    for problem in problems:
        for step in problem.steps:
            equations = _EQUATION.findall(step)
            assert len(equations) == 1, step
            left, right = equations[0]
            assert _value(ast.parse(left, mode="eval").body) == int(right), step


def test_last_step_gives_the_answer(problems: list[WordProblem]) -> None:
    for problem in problems:
        assert int(_EQUATION.findall(problem.steps[-1])[0][1]) == problem.answer


def test_number_of_steps_covers_one_to_five(problems: list[WordProblem]) -> None:
    assert {len(problem.steps) for problem in problems} == {1, 2, 3, 4, 5}


def test_every_operation_occurs(problems: list[WordProblem]) -> None:
    steps = " ".join(step for problem in problems for step in problem.steps)
    assert all(f" {operator} " in steps for operator in "+-*/")
    assert any("%" in problem.question for problem in problems)


def test_document_format(problems: list[WordProblem]) -> None:
    for problem in problems:
        assert problem.document.startswith(problem.prompt)
        assert problem.prompt.endswith("\nAnswer:")
        assert problem.document.endswith(f"\nThe answer is {problem.answer}.")
        assert stated_answer(problem.document) == problem.answer


def test_stated_answer_of_other_text_is_none() -> None:
    assert stated_answer("The answer is unknown.") is None
