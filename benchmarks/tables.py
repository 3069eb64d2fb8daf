"""Write the README's tables from the result files: ``python -m benchmarks.tables`` (``--check`` only compares)."""

from __future__ import annotations

import json
import random
import re
import statistics
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# Quantile of Student's t for 2 to 20 seeds, which is 1 to 19 degrees of freedom.
T_975 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093),
)


def figures(name: str) -> Any:
    """What is in benchmarks/results/NAME.json; nothing where it was not measured."""
    path = ROOT / "benchmarks" / "results" / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def by_seed(name: str) -> list[dict[str, Any]]:
    """The runs of a command of ``measure.py``, by seed."""
    runs: dict[str, dict[str, Any]] = figures(name)["runs"]
    return [runs[seed] for seed in sorted(runs, key=int)]


def mean_ci(values: list[float]) -> tuple[float, float]:
    """Mean over seeds and half of its 95 % interval (Student's t); of a single seed the interval is everything."""
    if len(values) == 1:
        return values[0], 1.0
    half = T_975[len(values) - 2] * statistics.stdev(values) / len(values) ** 0.5
    return statistics.mean(values), half


def iqm_ci(values: list[float], draws: int = 2000) -> tuple[float, float, float]:
    """Interquartile mean over seeds and its 95 % bootstrap interval (Agarwal et al. 2021): extreme seeds do not decide."""

    def iqm(values: list[float]) -> float:
        quarter = len(values) // 4
        return statistics.mean(sorted(values)[quarter : len(values) - quarter])

    rng = random.Random(0)
    again = sorted(iqm(rng.choices(values, k=len(values))) for _ in range(draws))
    return iqm(values), again[int(0.025 * draws)], again[int(0.975 * draws) - 1]


def demo() -> str:
    demos = by_seed("demo")
    lines = [
        f"`make demo`, seeds 1 to {len(demos)}; success on 500 unseen episodes each, mean ± 95 % interval over seeds.",
        "",
        "| | success | worst seed | environment steps | seconds (median) |",
        "|---|---|---|---|---|",
    ]
    for part, label in (
        ("navigation1", "navigation1, the skill"),
        ("controller", "two_rooms, controller with the skill"),
        ("flat", "two_rooms, the same learner without skills"),
    ):
        rates = [run[part]["success_rate"] for run in demos]
        mean, half = mean_ci(rates)
        seconds = statistics.median(run[part]["seconds"] for run in demos)
        lines.append(f"| {label} | {mean:.1%} ± {half:.1%} | {min(rates):.1%} | {demos[0][part]['env_steps']:,} | {seconds:.0f} |")
    return "\n".join(lines)


def speed() -> str:
    skill, world, train = by_seed("skill"), by_seed("world")[0], by_seed("train")[0]
    seconds = [run["seconds_to_95"] for run in skill]
    steps = [run["env_steps_to_95"] for run in skill]
    rates = train["env_steps_per_second"]
    lost = [f"{1 - rates[name] / rates['neither']:.0%}" for name in ("eliminate", "tune_discount", "both")]
    return "\n".join(
        [
            "| | | |",
            "|---|---|---|",
            f"| navigation1 to 95 % in validation | median of {len(skill)} seeds {statistics.median(seconds):.0f} s "
            f"(worst {max(seconds):.0f} s) | {statistics.median(steps):,.0f} environment steps |",
            f"| the same beside Stable-Baselines3's DQN, one run | {train['seconds_to_95']:.0f} s | "
            f"{'more than ' * train['ratio_is_a_lower_bound']}{int(train['ratio'])} times as fast |",
            f"| frames of 84x84 RGB, 64 worlds | {world['frames_per_second']:,.0f} a second | {world['ratio']:.1f} times "
            "MiniWorld, stepped in the same run |",
            f"| steps a second that are lost by `--eliminate`, `--tune-discount`, both | {', '.join(lost)} | |",
        ]
    )


def cuda() -> str:
    found = figures("cuda")
    lines = [
        f"| environment steps a second, learning navigation1 | {found['threads']} CPU threads | {found['device']} | ratio |",
        "|---|---|---|---|",
    ]
    for plan, speeds in found["env_steps_per_second"].items():
        lines.append(f"| {plan} | {speeds['cpu']:,.0f} | {speeds['cuda']:,.0f} | {speeds['cuda'] / speeds['cpu']:.1f} |")
    return "\n".join(lines)


# What Tessler et al. 2017 report, as it is remembered, in their own rooms: success of the skills alone and after distillation
# (tau 0.1), and of the controllers.
PAPER_SKILLS = {
    "navigation1": ("about 95 %", "about 82 %"),
    "navigation2": ("about 95 %", "about 82 %"),
    "pickup": ("about 100 %", "about 100 %"),
    "break": ("about 100 %", "about 79 %"),
    "placement": ("about 100 %", "about 79 %"),
}
PAPER_CONTROLLERS = {
    "two_rooms": {"h-drln": "about 76 %", "flat-dqn": "about 50 %", "zero-shot": "between the two"},
    "three_rooms": {
        "array": "about 85 %, Double 91 %",
        "distilled-double": "about 94 %",
        "flat-double": "never solves it",
    },
}
TASKS = (*PAPER_SKILLS, *PAPER_CONTROLLERS)


def percent(entry: dict[str, Any] | None) -> str:
    """Mean with its interval over seeds, and the worst seed; nothing where it was not measured."""
    if entry is None:
        return ""
    rates = list(entry["per_seed"].values())
    if len(rates) == 1:
        return f"{rates[0]:.1%} (one seed)"
    mean, half = mean_ci(rates)
    return f"{mean:.1%} ± {half:.1%} (worst {min(rates):.1%})"


def skills() -> str:
    found = figures("paper")
    lines = ["| skill | alone | paper | distilled | paper |", "|---|---|---|---|---|"]
    for name, (alone, distilled) in PAPER_SKILLS.items():
        head, entry = (found.get(kind, {}).get(name) for kind in ("distilled", "skills"))
        lines.append(f"| {name} | {percent(entry)} | {alone} | {percent(head)} | {distilled if head else ''} |")
    return "\n".join(lines)


def controllers() -> str:
    found, more = figures("paper"), figures("ablations")
    lines = ["| task | agent | success | paper | environment steps |", "|---|---|---|---|---|"]
    labels = {
        "h-drln": "controller with navigation1",
        "zero-shot": "navigation1 alone, not trained here",
        "array": "controller, a network each skill",
        "distilled": "controller, one distilled network",
        "distilled-dqn": "the same, DQN targets",
        "distilled-double": "the same, Double-DQN targets",
        "flat": "no skills",
        "flat-dqn": "no skills, DQN targets",
        "flat-double": "no skills, Double-DQN targets",
    }
    for task in ("two_rooms", "three_rooms"):
        arms = {**found.get(task, {}), **more.get(task, {})}
        for arm, label in labels.items():
            if arm in arms:
                steps = next(iter(arms[arm]["runs"].values())).get("env_steps", 0) if arm != "zero-shot" else 0
                lines.append(f"| {task} | {label} | {percent(arms[arm])} | {PAPER_CONTROLLERS[task].get(arm, '')} | {steps:,} |")
    return "\n".join(lines)


def ablations() -> str:
    arms = figures("ablations").get("three_rooms", {})
    labels = {
        ("everything", ""): "everything that is on by default",
        ("no-success-memory", "only-success-memory"): "without the memory of successes",
        ("gamma-once-a-decision", "only-gamma-once-a-step"): "without the discount once a step: once a decision",
        ("no-goal-termination", "only-goal-termination"): "without an end of skills at their goal: after k steps",
        ("no-intra-option", "only-intra-option"): "without learning from the steps inside a skill",
        ("no-deliberation", "only-deliberation"): "without a cost of decisions",
        ("no-start", "only-start"): "without a start from the layers of a skill",
        ("grown-from-two-rooms", ""): "with a start from the controller of two_rooms, its head grown",
        ("intra-option-all", ""): "with steps that teach every option that agrees",
        ("interruption", "only-interruption"): "with interruption where another option is worth more",
        ("nothing", ""): "none of these",
    }
    lines = [
        "| three_rooms, array of skills | success | environment steps to 95 % | that alone | environment steps to 95 % |",
        "|---|---|---|---|---|",
    ]
    for pair, label in labels.items():
        if pair[0] in arms:
            cells = [f"{percent(arms[arm])} | {steps_to_95(arms[arm])}" if arm in arms else " | " for arm in pair]
            lines.append(f"| {label} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def costs() -> str:
    """What variation and the switches cost in environment steps to 95 %, and in success where the runs went to their end."""
    found = figures("costs")
    array = figures("paper").get("three_rooms", {}).get("array")
    if array and "three_rooms" in found:
        found["three_rooms"]["as-it-is"] = array
    lines = [
        "| task | as it is | with `--eliminate` | with `--tune-discount` | rooms all alike | success of these in the task |",
        "|---|---|---|---|---|---|",
    ]
    for task in filter(found.get, TASKS):
        arms, shown = found[task], []
        for arm in ("as-it-is", "eliminate", "tune-discount", "alike"):
            shown.append(steps_to_95(arms[arm]) if arm in arms else "")
            if arm in arms and "--until" not in arms[arm]["command"]:
                shown[-1] += f", {percent(arms[arm])} at the end"
        lines.append(f"| {task} | {' | '.join(shown)} | {percent(arms.get('alike-there'))} |")
    return "\n".join(lines)


def steps_to_95(arm: dict[str, Any]) -> str:
    """Interquartile mean and interval; seeds that never got there count to their end: a lower bound, if over a quarter did not."""
    runs = list(arm["runs"].values())
    never = sum(run["env_steps_to_95"] is None for run in runs)
    if never == len(runs):
        return f"never in {runs[0]['env_steps']:,}"
    middle, low, high = iqm_ci([float(run["env_steps_to_95"] or run["env_steps"]) for run in runs])
    if len(runs) == 1:
        return f"{middle:,.0f} (one seed)"
    interval = f"{'more than ' * (4 * never > len(runs))}{middle:,.0f} ({low:,.0f} to {high:,.0f})"
    return f"{interval}; {never} of {len(runs)} seeds never" if never else interval


def rooms() -> str:
    found = figures("paper").get("rooms", {})
    lines = ["| trained on | larger room | turned, mirrored, a corner walled off | other textures |", "|---|---|---|---|"]
    for task in TASKS:
        if f"{task}-size" in found:
            shown = [percent(found[f"{task}-{change}"]) for change in ("size", "layout", "texture")]
            lines.append(f"| {task} | {' | '.join(shown)} |")
    return "\n".join(lines)


def luanti() -> str:
    """The rows of what has been measured; parts of the result file may be missing."""
    found = figures("luanti")
    lines = ["| | measured |", "|---|---|"]
    if part := found.get("conformance"):
        lines.append(
            f"| the same actions in both worlds, {len(part['tasks'])} tasks | {part['differences']} differences of reward, end, "
            f"inventory, pose, blocks or `invalid_action` in {part['steps']:,} steps; "
            f"{part['pixels_unlike']:.2%} of the pixels differ |"
        )
    if part := found.get("settle"):
        lines.append(
            "| frames that differ from what the screen shows 40 ms later | "
            + "; ".join(f"{run['wrong']} of {run['frames']:,} {label}" for label, run in _settled(part))
            + " |"
        )
    if part := found.get("determinism"):
        same = "identical bit for bit" if part["identical"] else "NOT identical"
        lines.append(f"| {part['runs']} runs of {part['steps']:,} steps with one seed | {same} |")
    if part := found.get("starts"):
        frames, wrong = (sum(task[key] for task in part.values()) for key in ("frames", "wrong"))
        lines.append(f"| first frames of a new engine that differ from an older one's | {wrong} of {frames:,} |")
    for part in [found[name] for name in ("speed", "speed64") if name in found]:
        lines.append(
            f"| steps of 84x84 RGB, worlds in an engine: {part['worlds']} | {part['steps_per_second']:,.0f} a second, "
            f"{part['steps_per_million_turns']:.1f} while a Python loop counts to a million; "
            f"reset {part['reset_ms_median']:.0f} ms (median) |"
        )
    if part := found.get("faults"):
        total = sum(part["faults"].values())
        lines.append(
            f"| {total} faults: {', '.join(part['faults'])} | {part['differences']} numbers of steps or states differ, "
            f"{part['orphans']} processes and {part['leftovers']} files are left |"
        )
    return "\n".join(lines)


def luanti_skills() -> str:
    """What was learned in the embedded world, in Luanti; each figure's interval is that of a share of so many episodes."""
    found = figures("luanti").get("skills", {})
    lines = [
        "| | embedded world, where it was trained | Luanti | Luanti's own light | after training there |",
        "|---|---|---|---|---|",
    ]
    for name, entry in found.get("embedded", {}).items():
        there = [found[world].get(name) for world in ("luanti", "plain", "tuned")]
        lines.append(f"| {name} | " + " | ".join(_share(each) if each else "" for each in (entry, *there)) + " |")
    for name, entry in found.get("nothing", {}).items():
        (run,) = entry["runs"].values()
        lines += ["", f"{name} learned from nothing in Luanti: {run['success_rate']:.1%} after {run['env_steps']:,} steps; "]
        if run["env_steps_to_95"]:
            lines[-1] += f"95 % after {run['env_steps_to_95']:,}, which took {run['seconds_to_95']:.0f} s."
    return "\n".join(lines)


def _share(entry: dict[str, Any]) -> str:
    """A share of episodes with its 95 % interval."""
    (run,) = entry["runs"].values()
    low, high = run["ci95"]
    return f"{run['success_rate']:.1%} ({low:.1%} to {high:.1%})"


def _settled(part: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    labels = {"idle": "as the machine was", "busy": "beside three busy processes"}
    return [(labels[name], run) for name, run in part.items()]


def minerl() -> str:
    """Parts of benchmarks/results/minerl.json that have been measured."""
    found = figures("minerl")
    lines = ["| | measured |", "|---|---|"]
    if part := found.get("evaluate"):
        both = [
            f"{part[world]['success_rate']:.1%} ({part[world]['ci95'][0]:.1%} to {part[world]['ci95'][1]:.1%})"
            for world in ("embedded", "minerl")
        ]
        lines.append(
            f"| a skill of the embedded world on {part['minerl']['episodes']} episodes, there and here | {both[0]}, {both[1]} |"
        )
    if part := found.get("faults"):
        attached, launched = part["attached"], part["launched"]
        whole = attached["transitions"] + launched["transitions"]
        differ = attached["differences_from_embedded"] + launched["differences_from_embedded"]
        lines += [
            f"| {attached['episodes'] + launched['episodes']:,} episodes, {attached['faults_injected']} faults of the protocol, "
            f"{launched['processes_killed_or_stopped']} processes killed or stopped | {whole:,} transitions, {differ} unlike the "
            f"embedded world's; {attached['lost_transitions'] + launched['lost_transitions']} dropped |",
            f"| ticks that the stand-in answered whole, and those that were counted | {attached['ticks_answered']:,}, "
            f"{attached['ticks_counted']:,} |",
            f"| latest overrun of a deadline; folders and processes left; growth of memory | {part['latest_overrun']:.1%}; "
            f"{part['left_behind']['folders']}, {part['left_behind']['processes']}; {attached['memory_growth_mib']:.1f} MiB |",
        ]
    if part := found.get("cost"):
        lines.append(f"| processor time of a step beyond that of the client's {part['ticks_per_step']:.1f} ticks | "
                     f"{part['beyond_client_ms']:.2f} ms |")  # fmt: skip
    if part := found.get("scaling"):
        lines.append(f"| steps per second of one and of four, with ticks of 20 ms | {part['one']:.1f}, {part['four']:.1f} "
                     f"({part['ratio']:.2f} times) |")  # fmt: skip
    return "\n".join(lines)


def elimination() -> str:
    """The grid world of Zahavy et al."""
    found = figures("gridworld")
    lines = [
        "| grid world | steps to solve it, without | with elimination | gain | most tries of a useless move, and the bound |"
        " useful moves eliminated |",
        "|---|---|---|---|---|---|",
    ]
    for name, arms in found.items():
        cells = []
        for arm in ("without", "with"):
            runs = arms[arm]["per_seed"]
            middle, low, high = iqm_ci([run["env_steps"] for run in runs])
            unsolved = sum(not run["solved"] for run in runs)
            note = f"; {unsolved} of {len(runs)} seeds not solved" if unsolved else ""
            cells.append(f"{middle:,.0f} ({low:,.0f} to {high:,.0f}{note})")
        runs = arms["with"]["per_seed"]
        most, bound = max(run["most_wrong_tries"] for run in runs), min(run["bound"] for run in runs)
        lost = sum(run["right_moves_eliminated"] for run in runs)
        lines.append(f"| {name} | {cells[0]} | {cells[1]} | {arms['gain']:.1f} | {most}, {bound:.0f} | {lost} |")
    return "\n".join(lines)


def preset_paper() -> str:
    """The paper's own schedule."""
    lines = ["| preset `paper` | success | paper | environment steps | learned on |", "|---|---|---|---|---|"]
    for task, paper in (("navigation1", PAPER_SKILLS["navigation1"][0]), ("two_rooms", PAPER_CONTROLLERS["two_rooms"]["h-drln"])):
        if arms := figures("preset_paper").get(task):
            (arm,) = arms.values()
            run = next(iter(arm["runs"].values()))
            lines.append(f"| {task} | {percent(arm)} | {paper} | {run['env_steps']:,} | {run.get('device', 'CPU')} |")
    return "\n".join(lines)


def workshop() -> str:
    """Many actions in the voxel world."""
    arms = figures("workshop")["workshop"]
    lines = [
        "| workshop, 253 actions | success | worst seed | environment steps to 95 % |",
        "|---|---|---|---|",
    ]
    for arm, label in (("with", "with elimination"), ("without", "without")):
        if arm not in arms:
            continue
        runs = list(arms[arm]["runs"].values())
        success = "{:.1%} ({:.1%} to {:.1%})".format(*iqm_ci([run["success_rate"] for run in runs]))
        worst = min(run["success_rate"] for run in runs)
        lines.append(f"| {label} | {success} | {worst:.1%} | {steps_to_95(arms[arm])} |")
    found: list[dict[str, int]] = list(figures("eliminated").values())
    for name, label in (("effective", "would do something"), ("futile", "would do nothing")):
        gone, of = (sum(seed[key] for seed in found) for key in (f"{name}_eliminated", name))
        most = max(seed[f"{name}_eliminated"] / seed[name] for seed in found)
        lines.append(f"| eliminated, of what {label} | {gone / of:.2%} | {most:.2%} | {gone:,} of {of:,} pairs |")
    return "\n".join(lines)


def horizon() -> str:
    """The sequence in which the best discount changes."""
    found = figures("horizon")
    fixed = {arm: parts for arm, parts in found.items() if arm[0].isdigit()}
    labels = {
        "tuned": "tunes itself",
        "tuned, lambda too": "tunes itself, and lambda",
        "tuned, no world tries another": "tunes itself, all worlds act by it alike",
        **{arm: f"fixed, {arm}" for arm in fixed},
        "learned mean, held": "fixed, the mean of what it learned (of the same seed)",
        "random walk": "random walk, steps of the same size",
        "by hand": "set by hand at each change, 0.98 and 0.8",
    }
    lines = ["| discount | return | while there is time | when time is short |", "|---|---|---|---|"]

    def line(label: str, runs: list[dict[str, Any]]) -> str:
        columns = [[run["score"] for run in runs]]
        columns += [[statistics.mean(run["phases"][first::2]) for run in runs] for first in (0, 1)]
        return f"| {label} | " + " | ".join("{:.3f} ({:.3f} to {:.3f})".format(*iqm_ci(each)) for each in columns) + " |"

    lines += [line(label, found[arm]["per_seed"]) for arm, label in labels.items() if arm in found]
    of_all = [
        {
            "score": statistics.mean(run["score"] for run in runs),
            "phases": [*map(statistics.mean, zip(*(run["phases"] for run in runs), strict=True))],
        }
        for runs in zip(*(parts["per_seed"] for parts in fixed.values()), strict=True)
    ]
    return "\n".join([*lines, line("fixed, mean of the six", of_all)])


TABLES = {
    "demo": demo,
    "speed": speed,
    "cuda": cuda,
    "skills": skills,
    "controllers": controllers,
    "preset-paper": preset_paper,
    "ablations": ablations,
    "costs": costs,
    "rooms": rooms,
    "elimination": elimination,
    "workshop": workshop,
    "horizon": horizon,
    "luanti": luanti,
    "luanti-skills": luanti_skills,
    "minerl": minerl,
}


def render(text: str) -> str:
    """``text`` with each table between its markers written anew."""
    for name, table in TABLES.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        written = table()
        text, found = re.subn(pattern, rf"\g<1>{written}\n\g<2>", text, flags=re.DOTALL)
        if found != 1:
            raise SystemExit(f"README.md: the markers of the table '{name}' must be there once")
    return text


def main() -> None:
    path = ROOT / "README.md"
    written = render(path.read_text())
    if "--check" in sys.argv:
        if written != path.read_text():
            raise SystemExit("README.md differs from benchmarks/results; run: make results")
    else:
        path.write_text(written)


if __name__ == "__main__":
    main()
