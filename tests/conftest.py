"""Fixtures that all tests share, and the check that nothing is left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator

import pytest

from tests.support import images, installation, leaks, processes, users
from tests.support.command import Command

CHECKED = ("clients", "conformance", "container", "faults", "registry", "rootless", "runtime")
"""Directories whose every test is checked for leaks."""

_TESTS = os.path.dirname(os.path.abspath(__file__))


class Session:
    """What belongs to the whole run."""

    directory: str
    before: leaks.Traces


def pytest_configure(config: pytest.Config) -> None:
    if config.option.collectonly:
        return
    leaks.isolate()
    # every temporary file of the run lies here, so that one that is left can be seen; other
    # users must get through to what is made for them
    Session.directory = tempfile.mkdtemp(prefix="proa-tests-")
    os.chmod(Session.directory, 0o711)
    tempfile.tempdir = os.environ["TMPDIR"] = Session.directory
    Session.before = leaks.observe()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not hasattr(Session, "before"):
        return
    # pytest itself has opened descriptors since then
    before = Session.before._replace(descriptors=leaks.observe().descriptors)
    found = leaks.leaks(before)
    if found:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        assert reporter is not None
        reporter.section("left behind by the whole run", sep="=", red=True)
        for line in found:
            reporter.line(line)
        leaks.mend(Session.before)


def pytest_unconfigure() -> None:
    if hasattr(Session, "directory"):
        shutil.rmtree(Session.directory, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs root: run the tests by 'sudo'"))


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that leaves a mount, cgroup, device, process, descriptor or file."""
    if os.path.relpath(request.path, _TESTS).split(os.sep)[0] not in CHECKED:
        yield
        return
    before = leaks.observe()
    yield
    found = leaks.leaks(before)
    if found:
        leaks.mend(before)
        pytest.fail("the test left behind:\n" + "\n".join(found), pytrace=False)


@pytest.fixture(scope="session")
def binaries() -> str:
    """The directory of the installed commands `proa` and `proa-runtime`."""
    return installation.install(os.path.join(Session.directory, "proa-tests-installed"))


@pytest.fixture
def engine_root() -> Iterator[str]:
    """An empty directory for an engine of the test's own; it must be removable afterwards."""
    path = tempfile.mkdtemp(prefix="root-")
    yield path
    shutil.rmtree(path)


@pytest.fixture
def proa(binaries: str, engine_root: str) -> Iterator[Command]:
    """The installed command with an engine of the test's own, which has no image yet."""
    command = Command(os.path.join(binaries, "proa"), engine_root)
    yield command
    _remove_containers(command)


@pytest.fixture(scope="session")
def images_dir() -> str:
    """The directory of the real images; without them the test is skipped."""
    path = images.directory()
    if path is None:
        pytest.skip("no real images: set PROA_TEST_IMAGES to a directory that has them")
    return path


@pytest.fixture(scope="session")
def alpine_template(binaries: str) -> str:
    """An engine's directory that has the image `alpine`, to be copied and never used itself."""
    root = os.path.join(Session.directory, "proa-tests-alpine")
    os.mkdir(root, 0o700)
    command = Command(os.path.join(binaries, "proa"), root)
    path = images.directory()
    if path is not None:
        archive = os.path.join(path, images.ALPINE)
        change = ("--change", 'CMD ["/bin/sh"]', "--change", f"ENV PATH={_PATH}")
        command("import", *change, archive, "alpine:latest")
    else:
        # the tests named after Alpine need a shell and the common commands, not musl
        command("image", "bootstrap", "busybox")
        command("tag", "busybox", "alpine:latest")
    return root


@pytest.fixture
def alpine(proa: Command, alpine_template: str) -> Command:
    """`proa` with an engine of the test's own that has the image `alpine`."""
    # layers and blobs never change, so links do; the database does change
    subprocess.run(["cp", "-al", f"{alpine_template}/.", proa.root], check=True)
    for name in os.listdir(alpine_template):
        if name.startswith("proa.db"):
            os.unlink(os.path.join(proa.root, name))
            shutil.copy2(os.path.join(alpine_template, name), os.path.join(proa.root, name))
    return proa


@pytest.fixture(scope="session")
def unprivileged_user() -> Iterator[users.User]:
    """A throw-away account with subordinate ids."""
    _needs_root()
    with users.throwaway() as user:
        yield user


@pytest.fixture(scope="session")
def single_id_user() -> Iterator[users.User]:
    """A throw-away account without subordinate ids."""
    _needs_root()
    with users.throwaway(subordinate_ids=False) as user:
        yield user


@pytest.fixture
def proa_as(binaries: str) -> Iterator[Callable[[users.User], Command]]:
    """The installed command as another user, with an engine of the test's own."""
    commands: list[Command] = []

    def make(user: users.User) -> Command:
        root = tempfile.mkdtemp(prefix="root-")
        os.chown(root, user.uid, user.gid)
        command = Command(
            os.path.join(binaries, "proa"),
            root,
            prefix=user.command(),
            environment=user.environment(),
        )
        commands.append(command)
        return command

    yield make
    for command in commands:
        _remove_containers(command)
        shutil.rmtree(command.root)


_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _remove_containers(command: Command) -> None:
    """Take away what a failed test may have left, through the front door."""
    if not os.path.exists(os.path.join(command.root, "proa.db")):
        return
    listed = command("ps", "--all", "--quiet", "--no-trunc", code=None)
    if names := listed.stdout.split():
        command("rm", "--force", *names, code=None)
    processes.reap_orphans()
    # the last thing that a monitor does is to remove what nobody uses any more: by the database
    processes.wait_for("proa.monitor.main")


def _needs_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: it makes an account")
