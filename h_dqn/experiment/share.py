"""Give skills away and take those of others: as archives, and by way of the Hugging Face Hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from envs.task import TaskError
from envs.wrappers import MEMORY
from h_dqn.experiment.agent import Agent
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.files import check_output
from h_dqn.experiment.worlds import TaskEnvs, shape_of
from h_dqn.presets import PRESETS
from skills_library import hub, share
from skills_library.archive import read_archive, write_archive
from skills_library.card import frames_of
from skills_library.hub import Pushed
from skills_library.library import Library
from skills_library.manifest import Files
from skills_library.policy import PolicyHead, SavedPolicy
from skills_library.share import Taken

ARCHIVES = (".zip",)
SKILLS = Library(Path("skills"))


@dataclass(frozen=True)
class Received:
    """A skill that was taken into a library, and what of it is not as that of a skill that is trained here, a line each."""

    taken: Taken
    notes: tuple[str, ...]


def export_skill(name: str, path: str | Path, library: Library = SKILLS) -> None:
    """Write a skill, or a distilled network with all its heads, as one archive; the same skill makes the same bytes.

    Args:
        name: its name in the library; the current version is written.
        path: of the archive, which ends in ``.zip``.
    Raises one of :data:`h_dqn.experiment.errors.FOR_PEOPLE` where there is no such skill or ``path`` cannot be written.
    """
    check_output(Path(path), "archive", ARCHIVES)
    write_archive(share.give(library, name), Path(path))


def import_skill(path: str | Path, library: Library = SKILLS, name: str | None = None, new_version: bool = False) -> Received:
    """Take a skill from an archive into the library. Nothing in it is executed; nothing is written before all of it was checked.

    Args:
        path: of the archive.
        library: where it is kept.
        name: what it is to be called, if not as it says itself.
        new_version: whether it may become a version of a skill of that name; the current one stays current.
    Raises one of :data:`h_dqn.experiment.errors.FOR_PEOPLE` for anything that :func:`export_skill` does not write, what cannot be
    played here, and a name that is taken.
    """
    path = Path(path)
    return _receive((read_archive(path), path.name), path, library, name, new_version)


def push_skill(name: str, repo: str, library: Library = SKILLS, public: bool = False) -> Pushed:
    """Put a skill's current version into a repository of the Hugging Face Hub, as one commit; see :func:`skills_library.hub.push`.

    Args:
        name: its name in the library.
        repo: ``USER/NAME``; made where there is none.
        public: whether all may see it.
    """
    return hub.push(share.give(library, name), repo, public)


def pull_skill(
    repo: str, library: Library = SKILLS, name: str | None = None, new_version: bool = False, revision: str | None = None
) -> Received:
    """Take a skill from a repository of the Hugging Face Hub into the library, as :func:`import_skill` does from an archive.

    Args:
        repo: ``USER/NAME``.
        revision: a branch, a tag or a commit; by default the newest.
    """
    return _receive(hub.pull(repo, revision), Path(repo), library, name, new_version)


def _receive(given: tuple[Files, str], where: Path, library: Library, name: str | None, new_version: bool) -> Received:
    """Keep what was given: a policy's files, and where they come from."""
    notes: list[str] = []
    files, origin = given
    taken = share.take(library, files, where, name, new_version, origin, lambda one: notes.extend(contract(one)))
    return Received(taken, tuple(notes))


def contract(policy: SavedPolicy) -> list[str]:
    """What of a policy is otherwise than here, and what then becomes of it, a line each.

    Raises :class:`UserError` for one that sees what no world shows, or takes no action that its task has.
    """
    stack, height, width = policy.network.spec.shape
    if height - width not in (0, MEMORY):
        raise UserError(f"'{policy.name}' sees frames of {height}x{width}, which no world shows: not kept")
    presets = [name for name, config in PRESETS.items() if shape_of(config) == (stack, height, width)]
    notes = []
    if not presets:
        flags = f"--size {width} --stack {stack} --{'' if height > width else 'no-'}memory"
        notes = [f"it sees {frames_of(policy.network.spec.shape)}, as no preset does; controllers that use it need {flags}"]
    return notes + [note for head in policy.heads for note in _of_head(policy, head)]


def _of_head(policy: SavedPolicy, head: PolicyHead) -> list[str]:
    agent = Agent(policy, head)
    try:
        envs = TaskEnvs(agent.task(), agent.shape)
    except TaskError as error:
        return [f"'{head.name}' has no task that can be read ({error}); name one with --task where it is evaluated"]
    agent.options(envs)
    if masked := agent.masked(envs):
        return [f"'{head.name}' is played without {', '.join(masked)}, which its task lacks"]
    return []
