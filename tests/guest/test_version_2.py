"""Control groups of version 2, and an older kernel: real ones, in a virtual machine."""

from __future__ import annotations

import os
import sys

import pytest

from tests.support import guest
from tests.support.installation import REPOSITORY

TESTS = (
    "tests/container/test_cgroup.py",
    "tests/container/test_update.py::test_limits_of_a_running_container",
    "tests/container/test_update.py::test_a_limit_of_a_kind_that_there_was_none_of",
    "tests/container/test_update.py::test_a_limit_below_what_is_in_use_is_refused",
    "tests/container/test_flags_limits.py::test_a_container_that_cannot_start_says_so_ever_after",
)
"""What depends on the version; a container takes a second in there."""


@pytest.mark.root
def test_containers_on_another_kernel_with_version_2() -> None:
    python = os.path.relpath(sys.executable, REPOSITORY)
    environment = {"PROA_TEST_IMAGES": os.environ.get("PROA_TEST_IMAGES", "")}
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no", *TESTS]
    try:
        code, shown = guest.run(command, environment=environment, timeout=600.0)
    except guest.Missing as error:
        pytest.skip(str(error))
    assert code == 0, shown
    assert " passed" in shown
