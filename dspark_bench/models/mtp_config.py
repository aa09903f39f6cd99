"""Shape of a multi-token prediction module (DeepSeek-V3 section 2.2), and how its makers differ.

Entry i reads the state of position i and the embedding of token i + 1, both normed, side by side in
an order that is the maker's; a product narrows them to one state, and a decoder layer and a final
norm follow. The module drafts token i + 2. Run again, it reads its own last output, which some
makers norm first and others do not: misread, it still drafts, with next to nothing accepted. With
several modules, each reads what the one before it made of the same position.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from dspark_bench.core.errors import CheckpointError
from dspark_bench.core.features import FINAL_NORM
from dspark_bench.models.config import ModelConfig, TargetShape
from dspark_bench.models.draft_config import MTP, Layout
from dspark_bench.models.expected_tensors import Expected, layer_shapes


@dataclass(frozen=True, slots=True)
class MtpNames:
    """Of a module's tensors, behind `prefix`; layer: before those of its decoder layer; copies: of
    embedding and head, where files may have them.
    """

    prefix: str
    token_norm: str
    hidden_norm: str
    project: str
    final_norm: str
    layer: str = ""
    embed: str | None = None
    lm_head: str | None = None

    def of(self, part: str) -> str:
        """A tensor's whole name."""
        return f"{self.prefix}{part}.weight"


@dataclass(frozen=True, slots=True)
class MtpStyle:
    """What differs between makers.

    hidden_first: whether the state comes before the embedding; feeds_normed: whether the next step
    reads what the final norm gives, else what goes into it; reads_normed: the same of the target's
    state, for the first step; has_centred_norms: whether norms multiply by 1 + weight.
    """

    name: str
    names: MtpNames
    hidden_first: bool
    feeds_normed: bool
    reads_normed: bool = True
    has_centred_norms: bool = False


@dataclass(frozen=True, slots=True)
class MtpConfig:
    """One module that is run once per drafted token, or several, each for one depth.

    model: shape of its layer; max_gamma: what it was trained to draft, None where its files do not
    say; is_inside: whether the files are its target's, whose other tensors are not the module's;
    later: prefixes of the modules behind the first, which `style` names.
    """

    model: ModelConfig
    style: MtpStyle
    max_gamma: int | None
    is_inside: bool
    later: tuple[str, ...] = ()

    @property
    def modules(self) -> tuple[MtpNames, ...]:
        """Names of each module's tensors, by depth."""
        first = self.style.names
        return (first, *(replace(first, prefix=prefix) for prefix in self.later))

    @property
    def layout(self) -> Layout:
        """The kind of drafter."""
        return MTP

    @property
    def format_name(self) -> str:
        """The maker's."""
        return self.style.name

    @property
    def has_confidence(self) -> bool:
        """Nothing estimates what will be accepted."""
        return False

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of its figures must know."""
        if self.max_gamma is not None:
            return ()
        return (
            "the module's files do not say how many tokens it was trained to draft, so any gamma "
            "is taken; acceptance may fall off behind what it was trained for",
        )

    def owned(self, names: Iterable[str]) -> set[str]:
        """Those of the tensors that are the module's."""
        if not self.is_inside:
            return set(names)
        prefixes = tuple(module.prefix for module in self.modules)
        return {name for name in names if name.startswith(prefixes)}


def mtp_tensors(config: MtpConfig) -> Expected:
    """What the files must hold of the modules, and what they may."""
    found = [_module_tensors(names, config.model) for names in config.modules]
    required = {name: shape for one in found for name, shape in one.required.items()}
    optional = {name: shape for one in found for name, shape in one.optional.items()}
    return Expected(required, optional)


def _module_tensors(names: MtpNames, model: ModelConfig) -> Expected:
    hidden, vocab = model.hidden_size, model.vocab_size
    norms = (names.token_norm, names.hidden_norm, names.final_norm)
    shapes: dict[str, tuple[int, ...]] = {names.of(norm): (hidden,) for norm in norms}
    shapes[names.of(names.project)] = (hidden, 2 * hidden)
    shapes |= layer_shapes(f"{names.prefix}{names.layer}", model, hidden)
    copies = [part for part in (names.embed, names.lm_head) if part is not None]
    return Expected(shapes, {names.of(part): (vocab, hidden) for part in copies})


def mtp_features(config: MtpConfig, target: TargetShape) -> tuple[int, ...]:
    """Which state of the target the first step reads."""
    last = target.num_hidden_layers - 1
    return (FINAL_NORM if config.style.reads_normed else last,)


def check_mtp_fits(config: MtpConfig, target: TargetShape, source: Path) -> None:
    """Raise CheckpointError if the module was made for another target shape."""
    sizes = {
        "vocab_size": (config.model.vocab_size, target.vocab_size),
        "hidden_size": (config.model.hidden_size, target.hidden_size),
    }
    for name, (ours, theirs) in sizes.items():
        if ours != theirs:
            raise CheckpointError(
                f"{source}: drafter has {name} {ours}, its target {theirs}; they must be equal"
            )
