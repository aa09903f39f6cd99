"""Who takes turns: engines, with and without speculation, and the ratios that are asked for."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from dspark_bench.evidence.peers.process import Launch

OURS: Final = "ours"
OURS_AR: Final = "ours, ar"
GENERATE: Final = "generate"
LOOKUP: Final = "generate, prompt lookup"
VLLM: Final = "vLLM"
VLLM_EAGLE3: Final = "vLLM, eagle3"
RATIOS: Final = (
    (OURS, VLLM),
    (OURS, GENERATE),
    (OURS_AR, VLLM_EAGLE3),
    (OURS_AR, LOOKUP),
    (OURS_AR, OURS),
    (VLLM_EAGLE3, VLLM),
    (LOOKUP, GENERATE),
)
"""Speed of the first over that of the second, where both took turns; the last three are each
engine's own gain from speculation."""
_HERE: Final = Path(__file__).parent
_OFFLINE: Final = {"HF_HUB_OFFLINE": "1"}


@dataclass(frozen=True, slots=True)
class Setting:
    """What every engine is told. batch: prompts at once, at most; max_len: tokens of the longest
    prompt with its output and drafts.

    is_compiled: vLLM compiles the model, which takes minutes at each start.
    """

    batch: int
    new_tokens: int
    gamma: int
    threads: int
    max_len: int
    is_compiled: bool = False


@dataclass(frozen=True, slots=True)
class Models:
    """Folders, relative to the work folder: the target, `ar` as it is shipped, and as Eagle3."""

    target: str = "target"
    ar: str = "ar"
    eagle3: str = "eagle3"


@dataclass(frozen=True, slots=True)
class Arm:
    """One engine in one mode. drafter: its folder, or None."""

    name: str
    engine: str
    drafter: str | None = None
    is_lookup: bool = False

    def settings(self, setting: Setting, models: Models) -> dict[str, Any]:
        """The first line that its worker is sent."""
        own = {"target": models.target, "drafter": self.drafter, "is_lookup": self.is_lookup}
        return {**asdict(setting), **own}

    def launch(
        self, python: Path, work: Path, threads: int, variables: Mapping[str, str]
    ) -> Launch:
        """How its worker is started. variables: those of its environment alone."""
        file = _HERE / f"engine_{self.engine}.py"
        shared = {"OMP_NUM_THREADS": str(threads), **_OFFLINE}
        log = "".join(letter if letter.isalnum() else "-" for letter in self.name)
        return Launch(self.name, log, python, file, work, {**shared, **variables})


def arms_for(batch: int, models: Models, has_vllm: bool) -> tuple[Arm, ...]:
    """Those that can serve `batch` prompts at once. Assisted generation serves one at a time."""
    arms = [Arm(OURS, "ours"), Arm(OURS_AR, "ours", models.ar), Arm(GENERATE, "transformers")]
    if batch == 1:
        arms.append(Arm(LOOKUP, "transformers", is_lookup=True))
    if has_vllm:
        arms += [Arm(VLLM, "vllm"), Arm(VLLM_EAGLE3, "vllm", models.eagle3)]
    return tuple(arms)


def vllm_variables(work: Path) -> dict[str, str]:
    """How vLLM is kept to its own environment and folder, and to as many threads as the others.

    It works in one process: its own engine process polls, and so takes a second core, without
    being faster. Its threads are bound to no core: they share the machine like everybody else's.
    """
    return {
        "PYTHONPATH": "",
        "VLLM_CACHE_ROOT": str(work / "cache"),
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_DO_NOT_TRACK": "1",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_NO_USAGE_STATS": "1",
    }
