"""What the project shows of itself: benches, fault injection, soak, reference tables.

Run by make targets; nothing imports it.
"""
