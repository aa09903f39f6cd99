"""The one reader of result files: `gather.gather` gives every sweep, point and problem of a folder.

A point is what its own files say (`metrics.json` or `error.json`, `environment.json`); `sweep.json`
adds what was planned. `summary.csv` is written for people and spreadsheets and never read here, so
that a table that is behind, or was edited, changes no answer.
"""
