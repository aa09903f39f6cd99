"""What was measured, as settings of serving engines. Reads results only; one module per engine.

`axis` finds what was measured at several loads, `schedule` chooses a draft length for each of them
by `report`'s recommendations, and every engine's module says the choice in that engine's words.
"""
