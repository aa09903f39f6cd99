"""A point's prompts as requests: chosen, fitted to the target, tokenised, each with its length."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dspark_bench.config.component import build_component
from dspark_bench.config.point_config import PointConfig
from dspark_bench.core.types import Request
from dspark_bench.loads.lengths.plan import LengthPlan, Lengths
from dspark_bench.measure.build_tree import most_drafted
from dspark_bench.models.backend import read_shape
from dspark_bench.models.checkpoint import read_tokenizer
from dspark_bench.models.config import TargetShape
from dspark_bench.workloads.chat import chat_renderer
from dspark_bench.workloads.fitting import Fitting, Source, fit_line, fit_prompts
from dspark_bench.workloads.prompt import NO_TEMPLATE, Prompt, Split, Workload, require
from dspark_bench.workloads.requests import RequestLimits, RequestMaker


@dataclass(frozen=True, slots=True)
class Prompts:
    """The run's requests, those set apart for calibration, and notes.

    num_too_long: prompts of the run that the target had no room for and that were left out or cut.
    """

    requests: tuple[Request, ...]
    calibration: tuple[Request, ...]
    notes: tuple[str, ...]
    num_too_long: int = 0


def build_prompts(point: PointConfig, config: TargetShape | None = None) -> Prompts:
    """Choose and tokenise the prompts. Cheap: reads no weights."""
    maker = _PromptMaker.of(point, config)
    workload = maker.workload
    test = maker.fit_test()
    num_aside = min(point.measure.calibration_requests, workload.num_available("calibration"))
    aside = maker.fit(maker.source("calibration"), num_aside, is_all_needed=False)
    lengths: Lengths = build_component("lengths", point.lengths)
    plan = lengths.plan(len(test.prompts), point.max_new_tokens)
    requests = _with_lengths(maker.requests.requests(test.prompts), plan)
    made = maker.requests.requests(aside.prompts, first_id=len(requests))
    calibration = _with_lengths(made, plan)
    notes = (*maker.notes(test, aside), *plan.notes)
    if point.load.name == "trace" and point.lengths.name != "trace":
        notes += ("the trace's token counts are not used; lengths=trace takes its output lengths",)
    if len(calibration) < point.measure.calibration_requests:
        notes += (
            f"the workload holds {len(calibration)} calibration prompts, fewer than asked for",
        )
    return Prompts(tuple(requests), tuple(calibration), notes, test.num_too_long)


def _with_lengths(requests: Sequence[Request], plan: LengthPlan) -> list[Request]:
    """Requests with their own lengths; more requests than lengths start over."""
    lengths = itertools.cycle(plan.tokens)
    return [
        replace(request, max_new_tokens=length)
        for request, length in zip(requests, lengths, strict=False)
    ]


def build_calibration_requests(
    point: PointConfig, config: TargetShape, num_wanted: int | None, num_most: int
) -> tuple[Request, ...]:
    """Requests of the calibration split alone: no test prompt is read.

    num_wanted: how many, None for all there are up to num_most. Raises WorkloadError if there are
    fewer than wanted.
    """
    maker = _PromptMaker.of(point, config)
    source = maker.source("calibration")
    num = min(num_most, source.available) if num_wanted is None else num_wanted
    fitting = maker.fit(source, num, is_all_needed=num_wanted is not None)
    return tuple(maker.requests.requests(fitting.prompts))


@dataclass(frozen=True, slots=True)
class _PromptMaker:
    """A point's workload, and what its prompts are tokenised with."""

    point: PointConfig
    workload: Workload
    requests: RequestMaker

    @classmethod
    def of(cls, point: PointConfig, config: TargetShape | None) -> "_PromptMaker":
        shape = config or read_shape(point.target_dir, point.target_backend)
        workload: Workload = build_component("workload", point.workload)
        limits = RequestLimits(
            point.max_new_tokens,
            most_drafted(point) + 1,
            shape.max_position_embeddings,
            shape.vocab_size,
            workload.chat_format.max_prompt_tokens,
        )
        renderer = chat_renderer(workload.chat_format, point.target_dir)
        maker = RequestMaker(renderer, read_tokenizer(point.target_dir), limits)
        return cls(point, workload, maker)

    def source(self, split: Split) -> Source:
        """One split in the order of the seed."""

        def draw(num: int) -> list[Prompt]:
            return self.workload.prompts(split, num, self.point.seed)

        return Source(draw, self.workload.num_available(split), self._name())

    def test_source(self) -> Source:
        """Prompts to run; of a file from which nothing is set aside, the other split comes last.

        The embedded calibration prompts stay aside: the shipped calibrations were fitted on them.
        """
        test, aside = self.source("test"), self.source("calibration")
        if self.point.measure.calibration_requests > 0 or not self.point.has_prompt_file:
            return test

        def draw(num: int) -> list[Prompt]:
            require(num, test.available + aside.available, test.name, "test")
            num_test = min(num, test.available)
            return test.draw(num_test) + aside.draw(num - num_test)

        return Source(draw, test.available + aside.available, test.name)

    def fit_test(self) -> Fitting:
        """The run's prompts: as many as were asked for, or, where nobody asked, what there is."""
        source, wanted = self.test_source(), self.point.num_requests
        if self.point.has_default_size:
            found = self.fit(source, min(wanted, source.available), is_all_needed=False)
            return found if found.prompts else self.fit(source, 1)
        return self.fit(source, wanted)

    def fit(self, source: Source, num_wanted: int, is_all_needed: bool = True) -> Fitting:
        """Prompts that the target has room for. is_all_needed: fewer are an error."""
        rule = self.workload.chat_format.too_long
        return fit_prompts(source, num_wanted, rule, self.requests, is_all_needed)

    def notes(self, test: Fitting, aside: Fitting) -> tuple[str, ...]:
        """What a reader of the results must know about the prompts."""
        rule = self.workload.chat_format.too_long
        notes = [
            self._aside_note(),
            *self.workload.notes,
            fit_line(test, rule, "test"),
            fit_line(aside, rule, "calibration"),
            self._template_note(test.prompts),
        ]
        known = {prompt.id for prompt in test.prompts}
        set_aside = self.source("calibration")
        if self.test_source().available > self.workload.num_available("test"):
            held = {prompt.id for prompt in set_aside.draw(set_aside.available)}
            if num := len(known & held):
                notes.append(
                    f"{num} of the run's prompts are of those set aside, since "
                    "measure.calibration_requests=0; a calibration fitted on this file knows them"
                )
        return tuple(note for note in notes if note is not None)

    def _aside_note(self) -> str | None:
        """How much of a user's file no run measures; nothing where all of it may be."""
        num_aside = self.workload.num_available("calibration")
        if not (
            num_aside and self.point.has_prompt_file and self.point.measure.calibration_requests
        ):
            return None
        num_all = num_aside + self.workload.num_available("test")
        return f"{num_aside} of {num_all} prompts are set aside for calibration"

    def _template_note(self, prompts: Sequence[Prompt]) -> str | None:
        """Whether a template that a user may expect was not applied."""
        num_chats = sum(bool(prompt.messages) for prompt in prompts)
        num_plain = len(prompts) - num_chats
        if self.requests.renderer.has_template:
            return (
                f"{num_plain} of {len(prompts)} prompts are plain text, sent without the chat "
                "template; messages or turns get it"
                if num_plain
                else None
            )
        if num_chats and self.workload.chat_format.template != NO_TEMPLATE:
            return (
                f"{num_chats} of {len(prompts)} prompts are chats, sent as plain text: the target "
                "has no chat template (workload.chat_template=FILE gives one)"
            )
        return None

    def _name(self) -> str:
        path = self.point.workload.arguments.get("path")
        return str(path) if path is not None else f"workload={self.point.workload.name}"
