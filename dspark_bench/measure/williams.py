"""Orders in which arms take turns, so that neither place nor predecessor favours one of them.

A Williams design (Williams 1949, "Experimental designs balanced for the estimation of residual
effects of treatments"): a Latin square built from the zigzag 0, 1, n-1, 2, n-2, ..., whose
neighbouring differences are all different modulo n. For an odd number of arms one square cannot
balance the predecessors; the square and its mirror do.
"""


def orders(num_arms: int) -> tuple[tuple[int, ...], ...]:
    """Rows of a balanced square: each holds every arm 0 .. num_arms - 1 once.

    num_arms rows for an even number (and for 1), twice as many for an odd one: first the square,
    then its mirror. Over all rows each arm stands equally often in each place, and directly after
    each other arm equally often: once for an even number, twice for an odd one. Within the first
    num_arms rows no arm stands twice in one place. Two arms: A B, B A. Raises ValueError for fewer
    than 1 arm.
    """
    if num_arms < 1:
        raise ValueError(f"num_arms is {num_arms}; valid: 1 or more")
    first = [(place + 1) // 2 * (1 if place % 2 else -1) % num_arms for place in range(num_arms)]
    square = tuple(tuple((arm + row) % num_arms for arm in first) for row in range(num_arms))
    if num_arms == 1 or num_arms % 2 == 0:
        return square
    return square + tuple(row[::-1] for row in square)
