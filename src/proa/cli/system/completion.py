"""`completion`: a shell completes commands, flags and names."""

from __future__ import annotations

from proa.cli.command import Command
from proa.cli.commands import ALIASES, ALONE, NOUNS, SHORTCUTS
from proa.cli.flags import UsageError
from proa.cli.main import GLOBAL_FLAGS, load
from proa.cli.output import write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from proa.cli.command import Session
    from proa.cli.flags import Flag, Values

_NAMES = {
    "containers": "proa ps -a --format '{{.Names}}'",
    "running": "proa ps --format '{{.Names}}'",
    "networks": "proa network ls --format '{{.Name}}'",
    "images": "proa images --format '{{.Repository}}:{{.Tag}}'",
    "volumes": "proa volume ls -q",
}
"""What lists the objects that a command takes."""

_BASH = """\
# bash completion for proa. In ~/.bashrc: source <(proa completion bash)
_proa() {
    local word=${COMP_WORDS[COMP_CWORD]} command= noun= index flags= words= value= names=
    COMPREPLY=()
    for ((index = 1; index < COMP_CWORD; index++)); do
        case ${COMP_WORDS[index]} in
            --root) ((index++)) ;;
            -*) ;;
            *)
                if [[ -z $command ]]; then
                    command=${COMP_WORDS[index]}
                    case $command in @NOUNS@) noun=$command ;; esac
                elif [[ -n $noun && $command == "$noun" ]]; then
                    command="$noun ${COMP_WORDS[index]}"
                fi ;;
        esac
    done
    case $command in
        '') words='@TOP@' flags='@GLOBAL@' ;;
@CASES@
    esac
    local previous=${COMP_WORDS[COMP_CWORD-1]}
    if [[ -n $value && $previous == -* && " $value " == *" $previous "* ]]; then
        COMPREPLY=($(compgen -f -- "$word"))
    elif [[ $word == -* ]]; then
        COMPREPLY=($(compgen -W "$flags --help" -- "$word"))
    else
        [[ -n $names ]] && words+=" $(eval "$names" 2>/dev/null)"
        COMPREPLY=($(compgen -W "$words" -- "$word"))
    fi
}
complete -o default -F _proa proa
"""
_ZSH = """\
#compdef proa
# zsh completion for proa. In ~/.zshrc: source <(proa completion zsh)
_proa() {
    local command= noun= word index
    local -a flags entries
    for ((index = 2; index < CURRENT; index++)); do
        word=${words[index]}
        case $word in
            --root) ((index++)) ;;
            -*) ;;
            *)
                if [[ -z $command ]]; then
                    command=$word
                    case $command in @NOUNS@) noun=$command ;; esac
                elif [[ -n $noun && $command == $noun ]]; then
                    command="$noun $word"
                fi ;;
        esac
    done
    case $command in
        '') entries=(@TOP@) flags=(@GLOBAL@) ;;
@CASES@
    esac
    if [[ ${words[CURRENT]} == -* ]]; then
        _describe -o flag flags
    elif (( ${#entries} )); then
        _describe command entries || _files
    else
        _files
    fi
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _proa "$@"
else
    compdef _proa proa
fi
"""


def _completion(_session: Session, _values: Values, arguments: list[str]) -> int:
    shell = arguments[0]
    if shell not in _SHELLS:
        raise UsageError(f"no completion for {shell}: there are {', '.join(_SHELLS)}")
    write(_SHELLS[shell]())
    return 0


def commands() -> dict[str, Command]:
    """All commands by the words that call them: `run`, `container run`, `container list`."""
    found = {}
    for noun, verbs in NOUNS.items():
        for verb, module in verbs.items():
            found[f"{noun} {verb}"] = load(module)
        for alias, verb in ALIASES.get(noun, {}).items():
            found[f"{noun} {alias}"] = load(verbs[verb])
    for name, (noun, verb) in SHORTCUTS.items():
        found[name] = load(NOUNS[noun][verb])
    for name, module in ALONE.items():
        found[name] = COMMAND if name == "completion" else load(module)
    return found


def _visible(flags: Iterable[Flag]) -> list[Flag]:
    return [flag for flag in flags if flag[3]]


def _flag_words(flags: Iterable[Flag], *, valued: bool = False) -> str:
    """`-a --all`: the flags as words; `valued`: only those that a value follows."""
    words = []
    for long, short, kind, _ in _visible(flags):
        if not (valued and kind == "bool"):
            words += [f"-{short}"] * bool(short) + [f"--{long}"]
    return " ".join(words)


def _bash() -> str:
    cases = []
    for path, command in commands().items():
        names = _NAMES.get(command.completes, "").replace("'", "'\\''")
        words = " ".join(_SHELLS) if path == "completion" else ""
        cases.append(
            f"        '{path}') flags='{_flag_words(command.flags)}'"
            f" value='{_flag_words(command.flags, valued=True)}' words='{words}'"
            f" names='{names}' ;;"
        )
    for noun, verbs in NOUNS.items():
        cases.append(f"        '{noun}') words='{' '.join(verbs)}' ;;")
    return _filled(_BASH, " ".join(_top()), _flag_words(GLOBAL_FLAGS), cases)


def _zsh() -> str:
    cases = []
    for path, command in commands().items():
        names = _NAMES.get(command.completes, "")
        entries = f'${{(f)"$({names} 2>/dev/null)"//:/\\\\:}}' if names else ""
        if path == "completion":
            entries = " ".join(_SHELLS)
        cases.append(
            f"        '{path}') flags=({_zsh_flags(command.flags)}) entries=({entries}) ;;"
        )
    for noun, verbs in NOUNS.items():
        entries = " ".join(_zsh_entry(verb, load(module).summary) for verb, module in verbs.items())
        cases.append(f"        '{noun}') entries=({entries}) ;;")
    known = commands()
    top = " ".join(
        _zsh_entry(name, known[name].summary) if name in known else name for name in _top()
    )
    return _filled(_ZSH, top, _zsh_flags(GLOBAL_FLAGS), cases)


def _zsh_flags(flags: Iterable[Flag]) -> str:
    entries = []
    for long, short, _, text in _visible(flags):
        entries += [_zsh_entry(f"-{short}", text)] * bool(short) + [_zsh_entry(f"--{long}", text)]
    return " ".join(entries)


def _zsh_entry(name: str, text: str) -> str:
    text = text.replace("'", "").replace(":", "\\:")
    return f"'{name}:{text}'"


def _fish() -> str:
    lines = ["# fish completion for proa. In config.fish: proa completion fish | source"]
    lines.append("complete -c proa -f")
    nothing = "__fish_use_subcommand"
    known = commands()
    for name in _top():
        summary = known[name].summary if name in known else f"Work with {name}s"
        lines.append(f"complete -c proa -n {nothing} -a {name} -d {_fish_quoted(summary)}")
    lines += [_fish_flag(nothing, flag) for flag in _visible(GLOBAL_FLAGS)]
    for noun, verbs in NOUNS.items():
        for verb, module in verbs.items():
            condition = (
                f"'__fish_seen_subcommand_from {noun}; "
                f"and not __fish_seen_subcommand_from {' '.join(verbs)}'"
            )
            summary = _fish_quoted(load(module).summary)
            lines.append(f"complete -c proa -n {condition} -a {verb} -d {summary}")
    for path, command in known.items():
        words = path.split(" ")
        condition = "'" + "; and ".join(f"__fish_seen_subcommand_from {word}" for word in words)
        if len(words) == 1:
            condition += f"; and not __fish_seen_subcommand_from {' '.join(NOUNS)}"
        condition += "'"
        lines += [_fish_flag(condition, flag) for flag in _visible(command.flags)]
        if command.completes:
            names = _fish_quoted(f"({_NAMES[command.completes]} 2>/dev/null)")
            lines.append(f"complete -c proa -n {condition} -a {names}")
        elif path == "completion":
            lines.append(f"complete -c proa -n {condition} -a '{' '.join(_SHELLS)}'")
    return "\n".join(lines) + "\n"


def _fish_flag(condition: str, flag: Flag) -> str:
    long, short, kind, text = flag
    letter = f" -s {short}" if short else ""
    value = "" if kind == "bool" else " -r"
    return f"complete -c proa -n {condition} -l {long}{letter}{value} -d {_fish_quoted(text)}"


def _fish_quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _top() -> list[str]:
    return sorted({*NOUNS, *SHORTCUTS, *ALONE})


def _filled(script: str, top: str, flags: str, cases: list[str]) -> str:
    return (
        script.replace("@NOUNS@", "|".join(NOUNS))
        .replace("@TOP@", top)
        .replace("@GLOBAL@", flags)
        .replace("@CASES@", "\n".join(cases))
    )


_SHELLS = {"bash": _bash, "zsh": _zsh, "fish": _fish}

COMMAND = Command(
    usage="bash|zsh|fish",
    summary="Print a script with which a shell completes proa's commands",
    run=_completion,
    minimum=1,
    maximum=1,
)
