"""The command line: the only place where worlds, learner and library meet."""

from __future__ import annotations

import errno
import signal
import sys
from typing import Any

import tyro

from envs.minerl.instance import close_pools
from h_dqn.cli import commands
from h_dqn.cli.errors import FOR_PEOPLE, UserError, out_of_memory
from h_dqn.cli.memory import keep_freed_memory


def main() -> None:
    """Entry point of ``h-dqn``. Exit code 0: done; 2: the user can mend it (one line says what); 130: interrupted."""
    sys.exit(run(sys.argv[1:]))


def parse(arguments: list[str]) -> Any:
    """The command that these words stand for, with its flags as fields; not run yet."""
    preset = commands.named_preset(arguments)
    return tyro.cli(commands.all_commands(preset), prog="h-dqn", description=commands.ABOUT, args=arguments)


def check_numbers(command: Any) -> None:
    """Raises :class:`UserError` for a number that cannot be, whichever command has such a flag."""
    while hasattr(command, "command"):  # of a group
        command = command.command
    for name, least, most in (("seed", 0, 2**63 - 1), ("episodes", 1, 10**9), ("minerl_instances", 1, 1000)):
        if not least <= (value := getattr(command, name, least)) <= most:
            raise UserError(f"--{name.replace('_', '-')} must be from {least} to {most}, not {value}")


def run(arguments: list[str]) -> int:
    keep_freed_memory()
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
        return _refuse(f"not enough memory ({str(error)[:200]}); try fewer --worlds, or a smaller --size or --capacity")
    finally:
        close_pools()
    return 0


def _refuse(reason: str) -> int:
    print(f"h-dqn: error: {' '.join(reason.split())}", file=sys.stderr)
    return 2


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
