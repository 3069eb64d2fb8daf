"""What an entry of the table of worlds (``registry.py``) is: names, limits, and how to make environments."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from envs.verdict import Verdict

if TYPE_CHECKING:  # all of it is slow to import
    import gymnasium as gym
    from gymnasium.vector import VectorEnv

    from envs.task import TaskSpec


@dataclass(frozen=True)
class NoOptions:
    """Of a world in which there is nothing to set."""


@dataclass(frozen=True)
class World:
    """A kind of world that plays tasks. A world that needs more than the defaults here is a subclass in its own package."""

    name: str
    """what people call it, as in ``--world luanti``"""
    about: str
    """one line of help"""
    package: str
    """where its classes are: NAMESPACEEnv in the module ``env`` of it, NAMESPACEVectorEnv in the module ``vector``"""
    namespace: str
    """of its Gymnasium ids, as in Voxel/TwoRooms-v0"""
    options: type = NoOptions
    """a frozen dataclass: its fields are what a user may set for this world, each with a default and a docstring under it"""
    plays_sequences: bool = True
    """whether the task may change while an agent learns"""
    refuses: frozenset[str] = frozenset()
    """what it does not play, of :data:`envs.materials.SPECIAL`"""
    can_play_twice: bool = True
    """whether a second copy of an episode can be played beside the first, such as one with sharper pictures for a video"""

    @property
    def env_id(self) -> str:
        """The Gymnasium id that takes any task."""
        return f"envs:{self.namespace}/Task-v0"

    def register(self, tasks: Iterable[str]) -> None:
        """Tell Gymnasium of this world: an id for any task, and one for each of these names of task files."""
        import gymnasium as gym

        for name, kwargs in [("Task", {}), *((camel(task), {"task": task}) for task in tasks)]:
            gym.register(
                id=f"{self.namespace}/{name}-v0",
                entry_point=f"{self.package}.env:{self.namespace}Env",
                vector_entry_point=f"{self.package}.vector:{self.namespace}VectorEnv",
                kwargs=kwargs,
            )

    def check(self, task: TaskSpec) -> None:
        """Raises :class:`envs.task.TaskError` for a task that this world cannot play."""

    def make(self, task: TaskSpec, num_envs: int, size: int, options: Any = None) -> VectorEnv[Any, Any, Any]:
        """A vector environment of :meth:`limit` (num_envs) worlds, with square pictures of ``size`` pixels.

        ``options``: an instance of :attr:`options`; None for its defaults.
        """
        import gymnasium as gym

        num_envs = self.limit(num_envs, options)
        return gym.make_vec(self.env_id, num_envs=num_envs, task=task, size=size, **self._settings(options))

    def make_single(self, task: TaskSpec, size: int, options: Any = None, render_mode: str | None = None) -> gym.Env[Any, Any]:
        """One world, as for a person who plays."""
        import gymnasium as gym

        return gym.make(self.env_id, task=task, size=size, render_mode=render_mode, **self._settings(options))

    def limit(self, num_envs: int, options: Any = None) -> int:
        """How many worlds there will be when so many are asked for."""
        self._given(options)
        return num_envs

    def check_shared(self, options: Any = None) -> None:
        """Raises :class:`envs.errors.WorldError` for options with which its environments cannot be shared out to processes."""
        self._given(options)

    def doctor(self, options: Any = None, start: bool = False) -> Iterator[Verdict]:
        """What this world needs beyond the project's own packages, and what this machine has of it.

        ``start``: the world is wanted, so what is missing is a lack and no note; where it takes seconds, it is also started.
        """
        self._given(options)
        return iter(())

    def close_all(self) -> None:
        """End whatever this world has started in this process."""

    def _settings(self, options: Any) -> dict[str, Any]:
        """Arguments of the environments' classes that follow from the options."""
        self._given(options)
        return {}

    def _given(self, options: Any) -> Any:
        """The options, or their defaults. Raises TypeError for those of another world."""
        if options is None:
            return self.options()
        if not isinstance(options, self.options):
            raise TypeError(f"options of the world '{self.name}' must be {self.options.__name__}, not {type(options).__name__}")
        return options


def camel(name: str) -> str:
    """``two_rooms`` -> ``TwoRooms``."""
    return "".join(part.capitalize() for part in name.split("_"))
