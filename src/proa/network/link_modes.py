"""The modes of macvlan and ipvlan links, by the names of Docker's options; the first: unsaid."""

from __future__ import annotations

MODES = {
    "macvlan": {"": 4, "private": 1, "vepa": 2, "bridge": 4, "passthru": 8},
    "ipvlan": {"": 0, "l2": 0, "l3": 1, "l3s": 2},
}
"""MACVLAN_MODE_* and IPVLAN_MODE_* of if_link.h."""
