"""Look shared by all figures: colour-blind-safe, readable without colour, light or dark."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from dspark_bench.core.errors import UsageError

MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
HATCHES: Final = ("", "///", "...", "\\\\\\", "xxx")


@dataclass(frozen=True, slots=True)
class Mark:
    """Colour and marker of one curve."""

    color: str
    marker: str


@dataclass(frozen=True, slots=True)
class Look:
    """A style: paper, ink (text), muted (secondary lines), grid, and colours for curves."""

    name: str
    paper: str
    ink: str
    muted: str
    grid: str
    colors: tuple[str, ...]

    @property
    def rc(self) -> dict[Any, Any]:
        """Settings for matplotlib."""
        return {
            "axes.axisbelow": True,
            "axes.edgecolor": self.muted,
            "axes.facecolor": self.paper,
            "axes.grid": True,
            "axes.labelcolor": self.ink,
            "axes.labelsize": 11,
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlecolor": self.ink,
            "axes.titlelocation": "left",
            "axes.titlesize": 11,
            "figure.dpi": 130,
            "figure.facecolor": self.paper,
            "font.size": 11,
            "grid.color": self.grid,
            "grid.linewidth": 0.7,
            "hatch.linewidth": 0.6,
            "legend.fontsize": 10.5,
            "legend.labelcolor": self.ink,
            "savefig.dpi": 130,
            "savefig.facecolor": self.paper,
            "svg.fonttype": "none",
            "svg.hashsalt": "dspark-bench",
            "text.color": self.ink,
            "xtick.color": self.ink,
            "ytick.color": self.ink,
        }

    def marks(self, labels: Iterable[str]) -> dict[str, Mark]:
        """A colour with a marker for each label, in alphabetical order."""
        return {
            label: Mark(self.colors[place % len(self.colors)], MARKERS[place % len(MARKERS)])
            for place, label in enumerate(sorted(set(labels)))
        }


# Okabe and Ito 2008, without the yellow that vanishes on white; lighter on black.
LIGHT: Final = Look(
    *("light", "#ffffff", "#1a1a1a", "#595959", "#e2e2e2"),
    ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"),
)
DARK: Final = Look(
    *("dark", "#14171c", "#eceff4", "#b4bac4", "#333a45"),
    ("#56B4E9", "#FF8A3D", "#2CC79E", "#E29BC6", "#F0E442", "#7FA8FF", "#ffffff"),
)
STYLES: Final = {look.name: look for look in (LIGHT, DARK)}


def find_look(name: str) -> Look:
    """The style of that name. Raises UsageError."""
    if name not in STYLES:
        raise UsageError(f"style {name!r} is unknown; valid: {', '.join(STYLES)}")
    return STYLES[name]
