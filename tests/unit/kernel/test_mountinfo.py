from __future__ import annotations

import pytest

from proa.kernel.mountinfo import unescape


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("/plain/path", "/plain/path"),
        ("/a\\040b", "/a b"),
        ("/tab\\011and\\012newline", "/tab\tand\nnewline"),
        ("/back\\134slash", "/back\\slash"),
        # what looks like an escaped blank after a backslash is none
        ("/\\134040", "/\\040"),
    ],
)
def test_paths_are_as_they_are(written: str, path: str) -> None:
    assert unescape(written) == path
