"""The tests here describe `proa run`; they are collected once the OCI runtime can start one."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("proa.runtime.container") else ["test_*.py"]
