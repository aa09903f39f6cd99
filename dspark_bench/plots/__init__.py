"""Figures from stored results.

`results.load_results` reads folders, `figures.draw_all` draws every kind that they support (one
module each in `kinds`), `command.run_plot` is `dspark-bench plot`.
"""
