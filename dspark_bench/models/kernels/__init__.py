"""One decoder layer on a CPU in one compiled call, and what it is made of.

The torch code of `models` is the definition, on any device and in any number format. What stands
here computes the same for fp32 on a CPU, each row of a batch by itself: a token's result has the
same bits whatever else is in the pass.
"""
