"""How several streams share one: each piece of output has a header that says whose it is.

Docker Engine API, "Stream format".
"""

from __future__ import annotations

import struct

HEADER = struct.Struct(">BxxxI")
"""stream, three empty bytes, length of what follows"""
STREAMS = {"stdout": 1, "stderr": 2}
