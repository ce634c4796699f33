"""proa beside its peers, on this machine, in one run: `python -m bench`.

Absolute times drift with the machine and its load; ratios of medians of interleaved runs hold.
"""
