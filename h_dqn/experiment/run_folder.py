"""A folder of work that goes on, whatever ended it. It appears whole, with all that is needed to begin; it is over when its result
is there.

run.json        what is to be done, and of what; see whose folder it is
checkpoint/     what it takes to go on exactly, while it is not over
result.json     what came of it
.lock           locked while a process is at work here
"""

from __future__ import annotations

import datetime
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from envs.errors import OneLineError
from h_dqn.checkpoint import Checkpoints
from h_dqn.experiment.errors import FOR_PEOPLE, UserError, out_of_memory
from h_dqn.experiment.result import check_result
from h_dqn.experiment.shell import command, path_word
from h_dqn.experiment.versions import versions
from h_dqn.experiment.watch import Stopped, Watcher
from h_dqn.files import check_own, lock, sweep, write_folder, write_text
from h_dqn.reading import read_json, short
from h_dqn.state import CheckpointError
from h_dqn.train import Diverged
from skills_library.library import Library
from skills_library.policy import SavedPolicy, save_policy

if TYPE_CHECKING:
    from skills_library.library import Judge

RUN, RESULT, CHECKPOINT = "run.json", "result.json", "checkpoint"
LARGEST, LARGEST_RESULT = 4 << 20, 1 << 20  # bytes of run.json and result.json
# What a part of a file that is not what it should be raises where it is read.
MISFITS = (
    UserError,
    OneLineError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    RuntimeError,
)


def new_folder(root: Path, name: str | None, default: str) -> Path:
    """The folder of a new run: the name that the user gave must be free; a default name gets a number where it is taken."""
    if root.exists() and not root.is_dir():
        raise UserError(f"{root} is a file; give a folder for --runs")
    if name is not None:
        if Path(name).name != name or not name.isprintable():
            raise UserError(f"--name {name}: must be one name, of a folder in {root}")
        if (root / name).exists():
            raise UserError(f"{root / name} exists already; give another --name, or remove that folder")
        return root / name
    folder, number = root / default, 2
    while folder.exists():
        folder, number = root / f"{default}-{number}", number + 1
    return folder


class RunFolder:
    """See the file's head."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checkpoints = Checkpoints(path / CHECKPOINT)

    # --- what is to be done ---

    @property
    def begun(self) -> bool:
        """Whether the folder is there."""
        return (self.path / RUN).exists()

    def begin(self, entry: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
        """Make the folder, with ``entry`` in run.json and these files."""
        began = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        text = json.dumps({**entry, "versions": versions(), "began": began}, indent=2, allow_nan=False) + "\n"
        if len(text) > LARGEST:  # it could not be gone on with
            raise UserError(f"{self.path}: its tasks are too much for one run ({len(text):,} bytes; {LARGEST:,} at most)")
        write_folder(self.path, {RUN: text.encode(), **files})

    def read(self) -> dict[str, Any]:
        """What run.json says, its versions apart from those of today in ``changed``. Raises UserError where it cannot be read."""
        file = self.path / RUN
        try:
            if not file.is_file():
                raise UserError(f"{self.path}: no run is kept here (there is no {RUN})")
            entry = read_json(file, LARGEST)
            if set(entry) - {"inputs"} != {"plan", "versions", "began"}:
                raise ValueError("it has other parts than a run")
            plan, skills = entry["plan"], entry["plan"].get("skills", [])
            if not isinstance(plan.get("task", ""), str) or not all(isinstance(text, str) for text in (entry["began"], *skills)):
                raise ValueError("its plan is none")
            kept = entry["versions"]
            if not isinstance(kept, dict) or not all(isinstance(one, str | None) for one in kept.values()):
                raise ValueError("its versions are none")
            changed = [f"{name} is {now}, not {short(kept.get(name))}" for name, now in versions().items() if kept.get(name) != now]
            return {**entry, "changed": changed}
        except OSError as error:
            raise UserError(f"{file}: cannot be read: {error.strerror}") from error
        except MISFITS as error:
            raise self.misfit(error) from error

    def misfit(self, error: Exception) -> Exception:
        """An error for people, for a part of run.json that is not what it should be."""
        if out_of_memory(error):
            return error
        if isinstance(error, FOR_PEOPLE):
            return UserError(f"{self.path / RUN}: {error}")
        return UserError(f"{self.path / RUN}: not what this version of h-dqn writes ({short(error)}); begin it anew")

    @property
    def result(self) -> dict[str, Any] | None:
        """What came of it; None while it is not over."""
        try:
            return check_result(read_json(self.path / RESULT, LARGEST_RESULT))
        except FileNotFoundError:
            return None
        except (OSError, *MISFITS) as error:
            raise UserError(f"{self.path / RESULT}: cannot be read: {error}") from error

    # --- while it is done ---

    @contextmanager
    def at_work(self, load: Callable[[Any], None]) -> Iterator[None]:
        """Within this no other process is at work here. Gives ``load`` the newest checkpoint, if there is one."""
        with suppress(FileNotFoundError):
            for inside in self.path.iterdir():
                check_own(inside)
        with lock(self.path):
            if (self.path / RESULT).exists():
                raise UserError(f"{self.path}: this run is over; its result is in {self.path / RESULT}")
            sweep(self.path)
            if (state := self.checkpoints.load()) is not None:
                try:
                    load(state)
                except MISFITS as error:
                    if isinstance(error, OneLineError) or out_of_memory(error):  # of a world, or of the machine
                        raise
                    raise CheckpointError(f"{self.path / CHECKPOINT}: does not fit this run ({error}); begin it anew") from error
            yield

    def save(self, state: Any, env_steps: int, watcher: Watcher) -> bool:
        """Write a checkpoint. A full disk ends nothing; returns whether it could be written."""
        try:
            self.checkpoints.save(state, env_steps)
        except OSError as error:
            watcher.say(f"{self.path / CHECKPOINT}: cannot be written ({error.strerror}); the run goes on, without a new one")
            return False
        return True

    @property
    def go_on(self) -> str:
        """The command that goes on with it."""
        return command("resume", path_word(self.path))

    def leave(self, error: BaseException, env_steps: int, watcher: Watcher) -> None:
        """Say how work that ends with this error goes on."""
        if not isinstance(error, Diverged):  # nor would it go on better
            why = f"by {error} " if isinstance(error, Stopped) else "by an error " if isinstance(error, Exception) else ""
            watcher.say(f"stopped {why}after {env_steps:,} steps. Go on with: {self.go_on}")

    def finish(self, result: Mapping[str, Any]) -> None:
        """The work is over."""
        write_text(self.path / RESULT, json.dumps(result, indent=2) + "\n")
        with suppress(OSError):
            self.checkpoints.remove()


def keep(policy: SavedPolicy, folder: Path, library: Library | None, watcher: Watcher, did_better: Judge | None = None) -> None:
    """Save a policy in the run's ``folder`` for it and in the library, if there is one. A full disk must not lose it.

    ``did_better``: as :meth:`skills_library.library.Library.add` has it.
    """
    try:
        save_policy(policy, folder)
        if library is not None and not library.exists:  # a run of somebody else's may name any folder
            watcher.say(f"{library.folder} is no library, so the skill stays in {folder}")
        elif library is not None:
            kept = library.add(policy, did_better)
            if kept.current < (newest := len(kept.ids)):
                watcher.say(f"kept as version {newest} of '{policy.name}'; version {kept.current} did better and stays current. "
                            f"To use the new one: {command('skills', 'use', policy.name, newest)}")  # fmt: skip
    except Exception as error:
        rescue = Path(tempfile.mkdtemp(prefix="h-dqn-")) / policy.name
        save_policy(policy, rescue)
        raise UserError(f"{folder.parent}: cannot be written ({error}); what was learned was saved to {rescue}") from error
