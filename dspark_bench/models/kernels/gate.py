"""Where the threads of one compiled call wait for each other: an array of three numbers."""

GATE_SIZE = 3
ARRIVED, PHASE, GIVEN_UP = range(GATE_SIZE)
"""How many have arrived; how many phases are over; 1 once the call is given up."""
