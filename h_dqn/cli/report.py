"""``h-dqn explain`` and ``h-dqn report``: pages for people."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from h_dqn.cli.flags import JsonFlags, LibraryFlags, argument, optional
from h_dqn.cli.output import ProgressBar, emit, hint
from h_dqn.experiment.agent import load_agent
from h_dqn.experiment.errors import UserError
from h_dqn.experiment.explain import ExplainConfig, explain_agent, export, link, write
from h_dqn.experiment.files import check_output
from h_dqn.experiment.report import write_report
from skills_library.library import Library

PAGES = (".html",)


@dataclass
class Explain(JsonFlags, LibraryFlags):
    """Show on one page what an agent has learned, where it fails, and what it looks at.

    It plays unseen episodes in the embedded world. The page opens from the disk with no network: a map of all steps, clusters and
    the moves between them, the film of any episode, saliency, what changes its choice when it alone is different, an alarm that
    foretells failure, and sub-goals: what happens where clusters change. Beside it, explain.json holds the same data. Of a
    skill that plays its own task, `h-dqn skills show` says where the page is.

    Examples:
      h-dqn explain navigation1
      h-dqn explain runs/two --task two_rooms --episodes 500 --out runs/two/explain --export candidates
    """

    what: Annotated[str, tyro.conf.Positional, argument("SKILL|FOLDER")]
    """a skill of the library, or the folder of a run"""
    task: Annotated[str | None, optional("TASK")] = None
    """the task to play, a name or a file; default: the one it was trained on"""
    episodes: int = 300
    """how many are played"""
    seed: int = 70001
    """decides which, and all draws: one seed, one page"""
    out: Annotated[Path | None, optional("FOLDER")] = None
    """where the two files are written (default: explain-NAME)"""
    export: Annotated[Path | None, optional("FOLDER")] = None
    """also write the sub-goals that were found as task files, for `h-dqn skills add`"""

    def run(self) -> None:
        library = Library(self.library)
        agent = load_agent(self.what, library)
        envs = agent.envs(self.task)
        folder = self.out or Path(f"explain-{agent.head.name.replace('/', '-')}")
        for flag, given in (("--out", folder), ("--export", self.export)):
            if given is not None and given.exists() and not given.is_dir():
                raise UserError(f"{flag} {given}: is a file; give a folder")
        found = explain_agent(agent, envs, ExplainConfig(self.episodes, self.seed), ProgressBar())
        data, page = write(found, folder)
        if self.task is None:
            link(self.what, library, page)
        for text in found.data["warnings"]:
            hint(f"note: {text}")
        told = _told(found.data, data, page)
        if self.export is not None:
            told["candidates"] = [str(path) for path in export(found.data, self.export)]
            for one in found.data["subgoals"]["candidates"]:
                if one["problem"]:
                    hint(f"note: no task for '{one['says']}': {one['problem']}")
        emit(told, self.json)


def _told(found: dict[str, Any], data: Path, page: Path) -> dict[str, Any]:
    chosen, cue = found["chosen"], next((one for one in found["causes"] if not one["matters"]), None)
    return {
        "success_rate": found["success"][0],
        "ci95": found["success"][1:],
        "episodes": found["episodes"],
        "clusters": chosen["k"],
        "vmse": chosen["vmse"],
        "correlation_of_values": chosen["correlation"],
        "strongest_cue": cue and cue["cause"],
        "seed": found["seed"],
        "data": str(data),
        "page": str(page),
    }


@dataclass
class Report(JsonFlags):
    """Show on one page what runs logged: curves, arms side by side, options.

    Runs that differ in their seed alone are one arm, with a 95 % interval of its mean. The page opens from the disk with no
    network.

    Example: h-dqn report runs/ablation-a-s1 runs/ablation-a-s2 runs/ablation-b-s1 --out ablation.html
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, argument("FOLDER ...")]
    """folders of runs, or folders with runs in them"""
    out: Annotated[Path, argument("FILE")] = Path("report.html")
    """the page"""
    title: str = ""
    """of the page (default: the runs' names)"""

    def run(self) -> None:
        if not self.runs:
            raise UserError("name at least one run's folder")
        check_output(self.out, "--out", PAGES)
        emit({"page": str(write_report(self.runs, self.out, self.title))}, self.json)
