"""The command line: flags become Python calls of ``h_dqn.experiment``, and what these return is printed."""

from __future__ import annotations

import io
import os
import re
import signal
import sys
from contextlib import redirect_stderr
from typing import Any

import h_dqn

RULE, SIDE = re.compile(r"^\W*[─-]+\W*$"), re.compile(r"^[│|] ?|[│|]$")
ADVICE = ("For full helptext", "Argument helptext", "run ")
PLAIN = {
    "invalid literal for int() with base 10": "not a whole number",
    "could not convert string to float": "not a number",
    "Error parsing ": "",
}
LONGEST = 4000  # letters of the line that says why a command is refused
BOUNDS = {"seed": (0, 2**63 - 1), "episodes": (1, 10**9)}


def main() -> None:
    """Entry point of ``h-dqn`` and of ``python -m h_dqn``.

    Exit code 0: done; 2: the user can mend it (one line says what); 128 + n: ended by signal n.
    """
    sys.exit(run(sys.argv[1:]))


def parse(arguments: list[str]) -> Any:
    """The command that these words stand for, with its flags as fields; not run yet."""
    if arguments == ["--version"]:
        print(f"h-dqn {h_dqn.__version__}")
        raise SystemExit(0)
    if os.environ.get("NO_COLOR"):
        os.environ.setdefault("PYTHON_TYRO_ANSI_CODES", "False")  # it reads this when it is imported
    import tyro

    from h_dqn.cli.commands import choose

    chosen, said = choose(arguments), io.StringIO()
    try:
        with redirect_stderr(said):
            return tyro.cli(chosen.kind, prog=chosen.prog, description=chosen.description, args=chosen.arguments)
    except SystemExit as end:
        if not end.code:
            raise
        from h_dqn.experiment.errors import UserError

        raise UserError(f"{in_one_line(said.getvalue())} (see: {chosen.prog} --help)") from end


def in_one_line(box: str) -> str:
    """What tyro says in a box with a title, without its advice to read the help."""
    parts, lines = [""], box.strip().splitlines()
    for line in lines[1:-1] if len(lines) > 2 else lines:
        if RULE.match(line):
            parts.append("")
        else:
            parts[-1] += " " + SIDE.sub("", line).strip()
    told = [" ".join(part.split()).rstrip(".") for part in parts]
    line = "; ".join(part for part in told if part and not part.startswith(ADVICE))
    for python, plain in PLAIN.items():
        line = line.replace(python, plain)
    return line


def check_flags(command: Any) -> None:
    """Raises UserError for a number that cannot be, and for a name that no file of a run could hold, whichever the command."""
    for name, (least, most) in BOUNDS.items():
        if not least <= (value := getattr(command, name, least)) <= most:
            from h_dqn.experiment.errors import UserError

            raise UserError(f"--{name} must be from {least} to {most}, not {value}")
    for name in ("task", "name", "runs", "library") if hasattr(command, "runs") else ():
        value = str(getattr(command, name, ""))
        if value.encode("utf-8", "ignore").decode() != value:
            from h_dqn.experiment.errors import UserError

            raise UserError(f"'{value}' is not UTF-8 text, which the names of a run must be")


def run(arguments: list[str]) -> int:
    """Run a command; returns its exit code."""
    from h_dqn.cli.terminal import printing

    with printing() as out:
        code = _run(arguments)
        out.flush()
        if out.failure and not code:  # the work is done, but what could not be printed must not look as if it had been
            return _refuse(f"standard output: {out.failure.strerror or out.failure}")
    return code


def _run(arguments: list[str]) -> int:
    from h_dqn.cli.memory import keep_freed_memory

    keep_freed_memory()
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) != signal.SIG_IGN:
            signal.signal(getattr(signal, name), _interrupt)
    try:
        command = parse(arguments)
        check_flags(command)
        command.run()
    except KeyboardInterrupt as error:
        return 128 + int(getattr(error, "number", signal.SIGINT))
    except Exception as error:
        from h_dqn.experiment.errors import explanation

        if (reason := explanation(error)) is None:
            raise
        return _refuse(reason)
    finally:
        if registry := sys.modules.get("envs.registry"):  # else nothing was started
            registry.close_all()
    return 0


def _refuse(reason: str) -> int:
    from h_dqn.cli.terminal import visible

    line = visible(" ".join(reason.split()))
    print(f"h-dqn: error: {line if len(line) <= LONGEST else line[:LONGEST] + '...'}", file=sys.stderr)
    return 2


def _interrupt(number: int, _: Any) -> None:
    from h_dqn.experiment.watch import Stopped

    raise Stopped(number)
