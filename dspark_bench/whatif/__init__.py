"""S for what was not measured, from stored costs and recorded acceptance: a model, marked as one.

Reads results only. `base` finds what the results hold, `costs` what a cycle costs at a draft length
and a batch, `predict` puts them together. Nothing is extrapolated: where costs or acceptance end,
the answer is the reason.
"""
