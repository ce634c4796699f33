"""Thin typed wrappers of what Linux offers. No policy: who calls decides what is right.

Everything here is on the hot path of starting a container, so nothing imports more than C
modules that are built into the interpreter or cost well under a millisecond: `posix` rather
than `os`, `_ctypes` rather than `ctypes`.
"""
