"""`login`, `logout`: credentials of registries."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.exit_codes import WrongArguments
from proa.cli.output import STDIN, line, warn, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from proa.cli.command import Session
    from proa.cli.flags import Values


def _login(session: Session, values: Values, arguments: list[str]) -> int:
    del session
    from proa.engine.registries import known_login, login
    from proa.errors import Unauthorized

    server = arguments[0] if arguments else None
    username, password = values.text("username"), values.text("password")
    if "password" in values:
        if values.flag("password-stdin"):
            raise WrongArguments("--password and --password-stdin are mutually exclusive")
        warn("WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
    if values.flag("password-stdin"):
        if not username:
            raise WrongArguments("Must provide --username with --password-stdin")
        password = _read_stdin()
    if not username and not password:
        try:
            known = known_login(server)
        except Unauthorized:
            known = None
        if known is not None:
            line("Authenticating with existing credentials...\nLogin Succeeded")
            return 0
    if not username or not password:
        username, password = _ask(username)
    place = login(server, username, password)
    if not place.startswith("helper "):
        warn(
            f"WARNING! Your credentials are stored unencrypted in '{place}'.\n"
            "Configure a credential helper to remove this warning: set 'credsStore' in it"
        )
    line("Login Succeeded")
    return 0


def _read_stdin() -> str:
    import sys

    return sys.stdin.read().removesuffix("\n").removesuffix("\r")


def _ask(username: str) -> tuple[str, str]:
    """Name and password from the terminal; the latter is not shown."""
    import getpass
    import os

    if not os.isatty(STDIN):
        raise WrongArguments(
            "cannot perform an interactive login from a non TTY device: give --username and"
            " --password-stdin"
        )
    if not username:
        write("Username: ")
        username = input().strip()
    if not username:
        raise WrongArguments("a username is needed")
    password = getpass.getpass("Password: ")
    if not password:
        raise WrongArguments("a password is needed")
    return username, password


def _logout(session: Session, values: Values, arguments: list[str]) -> int:
    del session, values
    from proa.engine.registries import logout

    name, was_there = logout(arguments[0] if arguments else None)
    line(f"Removing login credentials for {name}" if was_there else f"Not logged in to {name}")
    return 0


LOGIN = Command(
    usage="[OPTIONS] [SERVER]",
    summary="Log in to a registry",
    run=_login,
    flags=(
        ("password", "p", "string", "Password, which others can see in this form"),
        ("password-stdin", "", "bool", "Take the password from stdin"),
        ("username", "u", "string", "User's name"),
    ),
    maximum=1,
)

LOGOUT = Command(
    usage="[SERVER]",
    summary="Forget the credentials of a registry",
    run=_logout,
    maximum=1,
)
