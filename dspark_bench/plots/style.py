"""Look shared by all figures: light, colour-blind-safe, and readable without colour."""

from typing import Any, Final

# Okabe and Ito 2008, without the yellow that vanishes on white.
COLORS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
MUTED: Final = "#666666"

RC: Final[dict[Any, Any]] = {
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "figure.facecolor": "white",
    "font.size": 9,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "savefig.dpi": 160,
    "svg.fonttype": "none",
    "svg.hashsalt": "dspark-bench",
}
