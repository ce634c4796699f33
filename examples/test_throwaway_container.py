"""Give each test a container of its own, by a fixture of pytest.

Run it with `pytest examples/test_throwaway_container.py`. It needs nothing prepared: the engine's
directory is a temporary one, apart from all others on the machine, and the image is made of this
machine's busybox.

Prints that two tests passed.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from proa import Container, Engine


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine for these tests, with the image `busybox`."""
    with Engine(str(tmp_path_factory.mktemp("engine"))) as engine:
        engine.images.bootstrap("busybox")
        yield engine


@pytest.fixture
def container(engine: Engine) -> Iterator[Container]:
    """A container that runs, fresh for each test, and gone after it whatever happened."""
    container = engine.containers.run("busybox", "sleep 600", detach=True, network="none")
    container.reload()
    yield container
    container.remove(force=True)


def test_a_file_is_written(container: Container) -> None:
    """Change the container's files."""
    assert container.exec_run("touch /etc/marker").exit_code == 0
    assert container.exec_run("test -e /etc/marker").exit_code == 0


def test_the_next_container_has_no_such_file(container: Container) -> None:
    """See that nothing of it is left in the next one."""
    assert container.exec_run("test -e /etc/marker").exit_code == 1
