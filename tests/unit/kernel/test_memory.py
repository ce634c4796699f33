from __future__ import annotations

import os
import subprocess
import sys

from tests.support.installation import REPOSITORY

PROGRAM = """
import json, re, sqlite3, ssl
from proa.kernel.memory import release

def mapped():
    with open("/proc/self/smaps_rollup") as file:
        return int(re.search(r"Rss: +([0-9]+)", file.read())[1])

before = mapped()
release()
after = mapped()
# what was given back comes back: code, constants, the linker's tables
database = sqlite3.connect(":memory:")
answer = database.execute("SELECT 6 * 7").fetchone()[0]
ssl.create_default_context()
print(json.dumps({"before": before, "after": after, "answer": answer}))
"""


def test_it_gives_back_what_a_process_can_do_without() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": os.path.join(REPOSITORY, "src")},
    )

    assert done.returncode == 0, done.stderr
    found = eval(done.stdout)
    assert found["answer"] == 42
    assert found["after"] < 0.8 * found["before"]
