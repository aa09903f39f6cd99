"""States of a target that a drafter may read, beside the outputs of its layers 0, 1, ...

The output of the last layer is the state before the final norm, and has that layer's number.
"""

from typing import Final

EMBEDDING_OUTPUT: Final = -1
"""What goes into the first layer."""

FINAL_NORM: Final = -2
"""What the head reads: the last layer's output behind the final norm (Medusa, EAGLE-1)."""
