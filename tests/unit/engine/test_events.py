"""Events: written with what they tell of, read without a gap."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from proa.engine.events import FILTERS, Event, Events, matcher
from proa.errors import InvalidArgument, Unavailable
from proa.store import events as stored
from proa.store.store import Store


@pytest.fixture
def store(tmp_path: str) -> Store:
    return Store.open(f"{tmp_path}/root")


def read(store: Store, **options: object) -> list[str]:
    """The ids of all events there are."""
    found = Events(store, since=0, until=time.time_ns() - 10**9, **options)  # type: ignore[arg-type]
    return [event.id for event in found]


def add(store: Store, *ids: str, moment: int = 1) -> None:
    for id in ids:
        store.events.add("network", "create", id, {"name": f"n-{id}"}, moment=moment)


def test_what_was_undone_has_not_happened(store: Store) -> None:
    add(store, "a")
    with pytest.raises(RuntimeError), store.database.transaction():
        add(store, "b")
        raise RuntimeError
    add(store, "c")
    assert read(store) == ["a", "c"]


def test_old_ones_are_removed_but_never_the_newest(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "MOST", 3)
    now = time.time_ns()
    add(store, *"abcde", moment=now - 10**10)
    store.events.trim()
    assert read(store) == ["c", "d", "e"]
    monkeypatch.setattr(stored, "OLDEST", 10**9)
    add(store, "f", moment=now - 2 * 10**9)
    store.events.trim()
    assert read(store) == ["f"]
    add(store, "g", moment=now - 2 * 10**9)
    assert store.events.last() == 7


def test_a_reader_that_lost_some_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    add(store, "a")
    reader = Events(store)
    add(store, *"bcde", moment=time.time_ns())
    monkeypatch.setattr(stored, "MOST", 2)
    store.events.trim()
    with pytest.raises(Unavailable, match="2 events were removed before they were read"):
        next(reader)


def test_moments(store: Store) -> None:
    for number, id in enumerate("abc"):
        add(store, id, moment=(number + 1) * 10**9)
    assert [event.id for event in Events(store, since=2 * 10**9, until=3 * 10**9 - 1)] == ["b"]
    assert [event.id for event in Events(store, until=2 * 10**9)] == ["a", "b"]


def test_without_a_moment_only_what_comes(store: Store) -> None:
    add(store, "a")
    with Events(store) as reader:
        add(store, "b")
        assert next(reader).id == "b"


def test_closed_by_another_thread(store: Store) -> None:
    reader = Events(store)
    closer = threading.Timer(0.1, reader.close)
    closer.start()
    assert list(reader) == []
    closer.join()


def test_the_end_comes_by_itself(store: Store) -> None:
    add(store, "a", moment=time.time_ns())
    assert [event.id for event in Events(store, since=0, until=time.time_ns() + 10**8)] == ["a"]


WRITER = """
import sys
from proa.store.store import Store
store = Store.open(sys.argv[1])
for number in range(150):
    with store.database.transaction():
        store.events.add("network", "create", f"{sys.argv[2]}-{number}")
"""


def test_no_event_is_missed_or_comes_twice(store: Store) -> None:
    """Several processes write at once while one reads: it sleeps, and wakes for each of them."""
    reader = Events(store)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, store.root, name], env={"PYTHONPATH": path})
        for name in "ab"
        for path in [":".join(sys.path)]
    ]
    found = [next(reader) for _ in range(300)]
    for writer in writers:
        assert writer.wait(30) == 0
    assert [event.number for event in found] == list(range(1, 301))
    for name in "ab":
        assert [event.id for event in found if event.id[0] == name] == [
            f"{name}-{number}" for number in range(150)
        ]
    reader.close()


def test_a_commit_that_takes_its_time_wakes_the_reader(store: Store) -> None:
    """The log is written to before the commit can be seen: the reader does not go back to sleep."""
    store.database.open()
    written, seen = threading.Event(), threading.Event()

    def write() -> None:
        with store.database.transaction():
            add(store, "a")
            # as large as to reach the log before the commit
            store.database.run("PRAGMA cache_spill=1")
            store.database.run("PRAGMA cache_size=1")
            for number in range(200):
                store.events.add("network", "create", f"x{number}", {"name": "x" * 4000})
            written.set()
            seen.wait(0.3)
        store.database.close()

    reader = Events(store)
    writer = threading.Thread(target=write)
    writer.start()
    assert next(reader).id == "a"
    assert written.is_set()
    seen.set()
    writer.join()
    assert len([next(reader) for _ in range(200)]) == 200
    reader.close()


START = Event(
    "container", "exec_start: ls -l", "0123abc", {"name": "web", "image": "nginx:1.25", "a": "b"},
    1, 1,
)  # fmt: skip
TAG = Event("image", "tag", "sha256:ffff", {"name": "me/tool:2"}, 1, 2)


@pytest.mark.parametrize(
    ("name", "values", "passing"),
    [
        ("container", ["web"], [START]),
        ("container", ["we"], [START]),
        ("container", ["0123"], [START]),
        ("container", ["other", "web"], [START]),
        ("container", ["eb"], []),
        ("network", ["web"], []),
        ("event", ["exec_start"], [START]),
        ("event", ["exec_start: ls -l"], [START]),
        ("event", ["exec", "tag"], [TAG]),
        ("type", ["image", "network"], [TAG]),
        ("scope", ["local"], [START, TAG]),
        ("scope", ["swarm"], []),
        ("image", ["nginx"], [START]),
        ("image", ["nginx:1.25"], [START]),
        ("image", ["nginx:1"], []),
        ("image", ["me/tool"], [TAG]),
        ("image", ["sha256:ffff"], [TAG]),
        ("label", ["a"], [START]),
        ("label", ["a=b"], [START]),
        ("label", ["a=b", "c"], []),
        ("daemon", ["x"], []),
    ],
)
def test_filters(name: str, values: list[str], passing: list[Event]) -> None:
    assert name in FILTERS
    assert [event for event in (START, TAG) if matcher({name: values})(event)] == passing


def test_all_filters_must_pass() -> None:
    assert not matcher({"container": ["web"], "event": ["die"]})(START)


def test_an_unknown_filter(store: Store) -> None:
    with pytest.raises(InvalidArgument, match="invalid filter 'bogus'"):
        Events(store, filters={"bogus": ["1"]})
