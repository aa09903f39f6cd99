"""Turns a drafter's confidences into probabilities that hold; one file per way of doing it.

A class is called with its YAML's keys and two more: `gamma`, the longest draft, and `stored`, what
`dspark-bench calibrate` has written for these models and this sampling, or None.
"""
