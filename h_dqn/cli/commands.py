"""The verbs of ``h-dqn``, one class each: its fields are its flags, its docstring is its help."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Union

import cv2
import gymnasium as gym
import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from envs.oracle import Oracle
from envs.sequence import is_sequence, load_sequence
from envs.task_file import load_task, task_names
from h_dqn.cli import bench, demo, distill, doctor, play
from h_dqn.cli.errors import UserError
from h_dqn.cli.plots import write_video
from h_dqn.cli.policy import Policy, find_policy
from h_dqn.cli.runs import Plan, Run, new_folder
from h_dqn.cli.worlds import IDS, Minecrafts, TaskWorlds, World, task_worlds
from h_dqn.config import Config
from h_dqn.evaluate import Evaluation, evaluate
from h_dqn.options import OptionRunner
from h_dqn.presets import PRESETS
from h_dqn.rollout import Rollout
from h_dqn.seeds import episode_seeds
from skills_library.library import Library

ABOUT = "h-dqn: an agent that learns skills in Minecraft-like worlds and keeps them. Start with: h-dqn demo"
Name = tyro.conf.Positional[str]
out = Console(highlight=False)


def emit(result: dict[str, Any], as_json: bool) -> None:
    """The result for people, or as one JSON object on the last line of standard output."""
    if as_json:
        print(json.dumps(result))
        return
    table = Table(show_header=False)
    for key, value in result.items():
        table.add_row(key, f"{value:.4g}" if isinstance(value, float) else str(value))
    out.print(table)


# --- training --------------------------------------------------------------------------------------------------------


@dataclass
class _Train(Minecrafts):
    task: Name
    """a task's name (see: h-dqn tasks list) or the path of a task file; also a sequence of tasks, which says its own steps"""
    world: World = "voxel"
    """which world plays the task"""
    preset: str = "fast"
    """settings to start from: fast, long, paper, small, smoke, smoke_replay; single ones can be changed by the flags below"""
    seed: int = 1
    """decides everything random"""
    episodes: int = 500
    """unseen episodes of the evaluation at the end"""
    start: Annotated[str | None, tyro.conf.arg(name="from")] = None
    """a skill or a run's folder to begin from: its layers, and its outputs for the options that both have; the rest is new"""
    name: str | None = None
    """folder of the run below --runs; must not exist"""
    runs: Path = Path("runs")
    """where runs are kept"""
    library: Path = Path("skills")
    """where skills are kept"""
    json: bool = False
    """print the result as one JSON object"""

    kind = ""

    def run(self) -> None:
        skills = tuple(getattr(self, "skills", ()))
        config: Config = self.config  # type: ignore[attr-defined]
        config.check()
        plan = Plan(
            self.kind, self.task, self.world, self.preset, self.seed, self.episodes, skills, str(self.library), config, self.start,
            self.minerl_address, self.minerl_instances,
        )  # fmt: skip
        if is_sequence(self.task) and self.kind == "skill":
            raise UserError(f"{self.task} is a sequence: a skill is trained on one task; use train flat or train controller")
        short = load_sequence(self.task).name if is_sequence(self.task) else load_task(self.task).name
        folder = new_folder(self.runs, self.name, f"{self.kind}-{short}-s{self.seed}")
        finish(Run(plan, folder), self.json)


def finish(run: Run, as_json: bool) -> None:
    """Let a run learn to its end; print its result and what to do next."""
    result = run.learn()
    emit(result, as_json)
    what = run.worlds.task.name if run.plan.kind == "skill" else str(run.folder)
    task = run.worlds.task.name if is_sequence(run.plan.task) else run.plan.task  # the last of a sequence's, as it is unchanged
    print(f"evaluate it with: h-dqn evaluate {what} --task {task} --video {run.folder}/episode.mp4", file=sys.stderr)


@dataclass
class TrainSkill(_Train):
    """Train a deep skill network on one task and keep it in the library.

    Example: h-dqn train skill navigation1 --seed 1
    """

    kind = "skill"


@dataclass
class TrainFlat(_Train):
    """Train the baseline: the same agent on the same task, with primitive actions only.

    Example: h-dqn train flat two_rooms
    """

    kind = "flat"


@dataclass
class TrainController(_Train):
    """Train the H-DRLN controller, which chooses among primitive actions and skills.

    Example: h-dqn train controller two_rooms --skills navigation1
    """

    skills: tuple[str, ...] = ()
    """skills of the library that it may choose"""

    kind = "controller"


@dataclass
class Resume:
    """Go on with a run that was interrupted, exactly where it stopped.

    Example: h-dqn resume runs/skill-navigation1-s1
    """

    folder: tyro.conf.Positional[Path]
    """the run's folder"""
    json: bool = False
    """print the result as one JSON object"""

    def run(self) -> None:
        finish(Run.resume(self.folder), self.json)


# --- measuring -------------------------------------------------------------------------------------------------------


@dataclass
class Evaluate(Minecrafts):
    """Measure how often a skill or a run's agent reaches the goal on unseen episodes.

    Examples:
      h-dqn evaluate navigation1 --task navigation1 --episodes 500 --seed 90001 --json
      h-dqn evaluate runs/demo/controller --task two_rooms --video episode.mp4
    """

    what: Name
    """a skill of the library, or the folder of a run"""
    task: tuple[str, ...] = ()
    """the tasks to play, names or files; default: the one it was trained on"""
    world: World = "voxel"
    """which world plays the task"""
    episodes: int = 500
    """how many"""
    seed: int = 90001
    """decides which episodes; never those of training, whatever the number"""
    video: Path | None = None
    """also write one episode (of the last task) to this mp4 file, with the running option written on each frame"""
    library: Path = Path("skills")
    """where skills are kept"""
    json: bool = False
    """print the result as one JSON object"""

    def run(self) -> None:
        policy = find_policy(self.what, Library(self.library))
        results = {}
        for task in self.task or (policy.trained_on,):
            worlds, outcome = self._play(policy, task)
            results[worlds.task.name] = {**asdict(outcome), "ci95": list(outcome.ci95), "task": worlds.task.name, "seed": self.seed}
        if len(results) == 1:
            emit(next(iter(results.values())), self.json)
        elif self.json:
            print(json.dumps({"tasks": results}))
        else:
            table = Table("task", "success", "95 % interval")
            for name, result in results.items():
                low, high = result["ci95"]
                table.add_row(name, f"{result['success_rate']:.1%}", f"{low:.1%} to {high:.1%}")
            out.print(table)
        if self.video:
            film(policy, worlds, self.seed, self.video)

    def _play(self, policy: Policy, task: str) -> tuple[TaskWorlds, Evaluation]:
        worlds = task_worlds(task, self.world, policy.source.shape, self.settings, self.minerl_instances)
        envs, options = worlds(min(250, self.episodes)), policy.options(worlds)
        return worlds, evaluate(envs, options, policy.player(self.seed), self.episodes, self.seed, interrupt=policy.interrupt)


def film(policy: Policy, worlds: TaskWorlds, seed: int, path: Path) -> None:
    """Write one episode as an mp4, in sharper pictures than the policy sees where the world can be played twice at once."""
    options = policy.options(worlds)
    sharp = TaskWorlds(worlds.task, worlds.world, (1, 336, 336))(1) if worlds.world != "minerl" else None
    envs = worlds(1)
    first = episode_seeds("evaluate", seed, 1)
    player = policy.player(seed)
    runner = OptionRunner(options, 1, np.random.default_rng(seed))
    rollout = Rollout(envs, runner, player, first, interrupt=player if policy.interrupt else None)
    frames, captions = [], []
    if sharp is not None:
        _, info = sharp.reset(seed=first)  # type: ignore[arg-type]
        frames, captions = [info["observation"]["pov"][0]], ["start"]
    while True:
        step = rollout.step()
        info = step.info if sharp is None else sharp.step(step.action)[-1]
        frames.append(info["observation"]["pov"][0])
        option, action = options[step.option[0]].name, worlds.actions[step.action[0]]
        captions.append(option if option == action else f"{option}: {action}")
        if step.ended[0]:
            break
    captions[-1] += "   reached" if step.terminated[0] else "   time is up"
    write_video(path, [*frames, *[frames[-1]] * 6], [*captions, *[captions[-1]] * 6])
    print(f"wrote {path}", file=sys.stderr)


# --- looking ---------------------------------------------------------------------------------------------------------


@dataclass
class TasksList:
    """List the shipped tasks."""

    def run(self) -> None:
        table = Table("task", "what to do", "steps", "actions")
        for name in task_names():
            task = load_task(name)
            table.add_row(name, task.title, str(task.step_limit), ", ".join(task.actions))
        out.print(table)


@dataclass
class TasksShow:
    """Print a task's map and rules, and write pictures of it.

    Example: h-dqn tasks show three_rooms --picture three_rooms.png
    """

    task: Name
    """a task's name or the path of a task file"""
    world: World = "voxel"
    """which world draws it"""
    picture: Path | None = None
    """where to write the pictures, as PNG; default: <task>.png"""
    seed: int = 1
    """which episodes are shown"""

    def run(self) -> None:
        task = load_task(self.task)
        path = self.picture or Path(f"{task.name}.png")
        if path.suffix.lower() not in (".png", ".jpg"):
            raise UserError(f"--picture {path}: must end in .png or .jpg")
        print(f"{task.name}: {task.title}\n\n" + "\n".join(task.rows) + "\n")
        for char, cell in task.legend.items():
            parts = [" on ".join(reversed(cell.column)) or "open floor"]
            parts += [f"floor of {cell.floor}"] if cell.floor else []
            parts += [f"a {cell.item} lies there"] if cell.item else []
            parts += [f"{cell.choose[0]}..{cell.choose[1]} of them, else '{cell.otherwise}'"] if cell.choose else []
            print(f"  {char}  {'; '.join(parts)}")
        goal = ", then ".join(f"{stage.kind} {stage.item} {stage.char}".strip().replace("  ", " ") for stage in task.goal)
        verbs = f"\nverbs: {', '.join(verb.name for verb in task.verbs)}" if task.verbs else ""
        print(f"\ngoal: {goal}\nactions: {', '.join(task.actions)}{verbs}")
        print(f"limit: {task.step_limit} steps; reward {task.reward_step:g} a step, {task.reward_success:g} for the last")
        envs = gym.make_vec(IDS[self.world], num_envs=8, task=task, size=168)
        obs, _ = envs.reset(seed=episode_seeds("evaluate", self.seed, 8))  # type: ignore[arg-type]
        sheet = obs["pov"].reshape(2, 4, 168, 168, 3).transpose(0, 2, 1, 3, 4).reshape(336, 672, 3)
        if not cv2.imwrite(str(path), np.ascontiguousarray(sheet[..., ::-1])):
            raise UserError(f"{path}: the picture cannot be written there")
        print(f"pictures: {path}")


@dataclass
class TasksCheck:
    """Check a task file, and prove with the oracle that it can be solved within its limit.

    Example: h-dqn tasks check my_room.toml
    """

    file: Name
    """the task file"""
    world: World = "voxel"
    """which world is to play it"""
    episodes: int = 200
    """how many drawn episodes the oracle plays"""

    def run(self) -> None:
        task = task_worlds(self.file, self.world, (1, 8, 8)).task
        envs: Any = gym.make_vec("envs:Voxel/Task-v0", num_envs=self.episodes, task=task, size=8).unwrapped
        lengths = Oracle(envs.worlds).play(envs, seed=1)
        failed = sum(length is None for length in lengths)
        if failed:
            raise UserError(
                f"{self.file}: step_limit: the oracle cannot solve {failed} of {self.episodes} episodes in {task.step_limit} steps"
            )
        longest = max(length for length in lengths if length is not None)
        print(f"{self.file}: good. The oracle solves {self.episodes} of {self.episodes} episodes; the longest takes {longest} "
              f"of {task.step_limit} steps.")  # fmt: skip


@dataclass
class SkillsList:
    """List the skills of the library."""

    library: Path = Path("skills")
    """where skills are kept"""

    def run(self) -> None:
        library = Library(self.library)
        if not library.names():
            print("no skills yet; train one with: h-dqn train skill navigation1")
            return
        table = Table("skill", "task", "success", "steps trained", "folder")
        for skill in library.skills(library.names()):
            task, training, success = (
                skill.card["task"].get("name", ""),
                skill.card["training"].get("env_steps", 0),
                skill.card["measured"].get("success_rate"),
            )
            measured = f"{success:.1%}" if success is not None else "not measured"
            table.add_row(skill.name, task, measured, f"{training:,}", str(library.path(skill.name.partition("/")[0])))
        out.print(table)


@dataclass
class SkillsShow:
    """Print a skill's card."""

    name: Name
    """its name"""
    library: Path = Path("skills")
    """where skills are kept"""

    def run(self) -> None:
        library = Library(self.library)
        library.load(self.name)
        print((library.path(self.name) / "CARD.md").read_text())


# --- the tree of commands --------------------------------------------------------------------------------------------


def named_preset(arguments: list[str]) -> str:
    """The preset that the arguments name, needed before they are parsed: it sets the defaults of all other flags."""
    for position, argument in enumerate(arguments):
        name = argument.removeprefix("--preset=") if argument.startswith("--preset=") else None
        if argument == "--preset" and position + 1 < len(arguments):
            name = arguments[position + 1]
        if name is not None:
            if name not in PRESETS:
                raise UserError(f"unknown preset '{name}' (known: {', '.join(PRESETS)})")
            return name
    return "fast"


def all_commands(preset: str) -> Any:
    """The union of all commands, as tyro reads it, with the settings of ``preset`` as the training commands' defaults."""

    def verb(kind: type, name: str) -> Any:
        return Annotated[kind, tyro.conf.subcommand(name, description=kind.__doc__)]

    def group(name: str, about: str, kinds: dict[str, type]) -> Any:
        inner: Any = Union[tuple(verb(kind, word) for word, kind in kinds.items())]  # noqa: UP007
        made: Any = make_dataclass(name, [("command", Annotated[inner, tyro.conf.OmitSubcommandPrefixes])])
        made.run = lambda self: self.command.run()
        made.__doc__ = about
        return Annotated[made, tyro.conf.OmitArgPrefixes, tyro.conf.subcommand(name, description=about)]

    def training(kind: type) -> type:
        settings = ("config", tyro.conf.OmitArgPrefixes[Config], field(default_factory=lambda: PRESETS[preset]))
        made = make_dataclass(kind.__name__, [settings], bases=(kind,))
        made.__doc__ = kind.__doc__
        return made

    return Union[  # noqa: UP007
        verb(demo.Demo, "demo"),
        group("tasks", "The tasks: list, show or check them.", {"list": TasksList, "show": TasksShow, "check": TasksCheck}),
        verb(play.Play, "play"),
        group("train", "Train a skill, the flat baseline or the controller.",
              {"skill": training(TrainSkill), "flat": training(TrainFlat), "controller": training(TrainController)}),
        verb(distill.Distill, "distill"),
        verb(Resume, "resume"),
        verb(Evaluate, "evaluate"),
        group("skills", "The library of skills: list or show them.", {"list": SkillsList, "show": SkillsShow}),
        verb(bench.Bench, "bench"),
        verb(doctor.Doctor, "doctor"),
    ]  # fmt: skip
