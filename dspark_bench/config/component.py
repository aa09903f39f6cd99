"""A class that configuration names, called with its keys."""

from typing import Any, Final

from dspark_bench.config.plugin_fit import (
    check_argument_types,
    check_members,
    find_class,
    parameters,
)
from dspark_bench.config.point_config import Component
from dspark_bench.core.errors import BenchError, UsageError
from dspark_bench.core.protocols import (
    Acceptance,
    Calibrator,
    Drafter,
    Load,
    Scheduler,
    StepCost,
    TreePolicy,
)
from dspark_bench.loads.lengths.plan import Lengths
from dspark_bench.workloads.prompt import Workload

_PROTOCOLS: Final[dict[str, type]] = {
    "drafter": Drafter,
    "tree": TreePolicy,
    "scheduler": Scheduler,
    "cost": StepCost,
    "calibrator": Calibrator,
    "load": Load,
    "lengths": Lengths,
    "workload": Workload,
    "acceptance": Acceptance,
}


def build_component(group: str, component: Component, extra: dict[str, Any] | None = None) -> Any:
    """Call the class with its keys. Raises UsageError if they do not fit its constructor."""
    assert component.class_path is not None
    called = find_class(component.class_path)
    check_argument_types(group, called, component.arguments)
    try:
        built = called(**component.arguments, **(extra or {}))
    except BenchError:
        raise
    except TypeError as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
            raise
        given = ", ".join(component.arguments) or "nothing"
        raise UsageError(
            f"{group}={component.name} takes other keys than {given}: {error}"
        ) from error
    check_members(f"{group}={component.name}", built, _PROTOCOLS[group])
    return built


def constructor_parameters(component: Component) -> tuple[str, ...]:
    """Names that a component's constructor takes."""
    assert component.class_path is not None
    return parameters(find_class(component.class_path))
