"""The command line: flags become Python calls of ``h_dqn.experiment``, and what these return is printed."""

from __future__ import annotations

import errno
import signal
import sys
from typing import Any

import h_dqn


def main() -> None:
    """Entry point of ``h-dqn`` and of ``python -m h_dqn``.

    Exit code 0: done; 2: the user can mend it (one line says what); 130: interrupted.
    """
    sys.exit(run(sys.argv[1:]))


def parse(arguments: list[str]) -> Any:
    """The command that these words stand for, with its flags as fields; not run yet."""
    import tyro

    from h_dqn.cli.commands import ABOUT, all_commands

    if arguments == ["--version"]:
        print(f"h-dqn {h_dqn.__version__}")
        raise SystemExit(0)
    return tyro.cli(all_commands(arguments), prog="h-dqn", description=ABOUT, args=arguments)


def check_numbers(command: Any) -> None:
    """Raises UserError for a number that cannot be, whichever command has such a flag."""
    from h_dqn.experiment.errors import UserError

    while hasattr(command, "command"):  # of a group
        command = command.command
    for name, least, most in (("seed", 0, 2**63 - 1), ("episodes", 1, 10**9)):
        if not least <= (value := getattr(command, name, least)) <= most:
            raise UserError(f"--{name.replace('_', '-')} must be from {least} to {most}, not {value}")


def run(arguments: list[str]) -> int:
    """Run a command; returns its exit code."""
    from envs.registry import close_all
    from h_dqn.cli.memory import keep_freed_memory
    from h_dqn.cli.terminal import print_anywhere
    from h_dqn.experiment.errors import FOR_PEOPLE, out_of_memory

    keep_freed_memory()
    print_anywhere()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        command = parse(arguments)
        check_numbers(command)
        command.run()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0
    except FOR_PEOPLE as error:
        return _refuse(str(error))
    except OSError as error:
        if error.filename is None and error.errno not in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT):
            raise
        return _refuse(f"{error.filename or 'the disk'}: {error.strerror}")
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        return _refuse(f"not enough memory ({str(error)[:200]}); try fewer --num-envs, or a smaller --size or --capacity")
    finally:
        close_all()
    return 0


def _refuse(reason: str) -> int:
    print(f"h-dqn: error: {' '.join(reason.split())}", file=sys.stderr)
    return 2


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
