"""Metrics: pure functions over the cycle and request records of one point (two DataFrames).

`sums` pools the records once; every ratio is a formula over those sums, so the same formula serves
the point estimate and its interval. `summary.summarise` is what the experiment layer calls.
"""
