"""What the standard library offers, at a tenth of its import time.

A container starts in the time that `import json, dataclasses, sqlite3` takes. The commands
that people wait for (`run`, `exec`, `ps`) use these modules instead: the same C accelerators
underneath, without the Python around them. See docs/decisions/0002-lean-imports.md.
"""
