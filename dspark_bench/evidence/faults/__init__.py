"""Faults inflicted on real sweeps, and what they leave of the results (`bench_faults`)."""
