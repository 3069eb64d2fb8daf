"""The house: which room may import which, how large a file and a function may be, and where names are compared."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from envs.registry import WORLDS
from h_dqn.learners import LEARNERS

ROOT = Path(__file__).parent.parent
ROOMS = ("envs", "h_dqn", "skills_library")
FILES = {str(path.relative_to(ROOT)): path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))}
OURS = [name for name in FILES if not name.startswith("envs/")]
TREES = {name: ast.parse(path.read_text()) for name, path in FILES.items()}
MODULES = {name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): name for name in FILES}
SCREEN = {"tyro", "rich"}
# What each room must not import: modules, or packages with all that is in them.
FORBIDDEN = {
    "envs": {"torch", "h_dqn", "skills_library", *SCREEN},
    "h_dqn": {"envs", "skills_library", "h_dqn.experiment", "h_dqn.cli", *SCREEN},
    "h_dqn/experiment": {"h_dqn.cli", *SCREEN},
    "h_dqn/cli": {"torch", "gymnasium", "numpy", "cv2", "safetensors"},  # it turns flags into calls and prints what these return
    "skills_library": {"envs", "h_dqn.experiment", "h_dqn.cli", *SCREEN},
}
# Hands out names of the experiment, and imports it only when one is used; and ``python -m h_dqn``, which is the command line.
DOORS = {"h_dqn/__init__.py": {"h_dqn.experiment"}, "h_dqn/__main__.py": {"h_dqn.cli"}}


def imports(tree: ast.AST) -> set[str]:
    """Full names of all that is imported anywhere in it, as modules or from them."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("name", FILES)
def test_imports_go_one_way(name: str) -> None:
    room = max((room for room in FORBIDDEN if name.startswith(f"{room}/")), key=len)
    forbidden = FORBIDDEN[room] - DOORS.get(name, set())
    wrong = {one for one in imports(TREES[name]) for other in forbidden if f"{one}.".startswith(f"{other}.")}
    assert not wrong


def at_import(tree: ast.Module) -> Iterator[ast.stmt]:
    """Statements that run when the module is imported."""
    left: list[ast.stmt] = list(tree.body)
    while left:
        node = left.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            left += node.orelse
        elif isinstance(node, ast.ClassDef):
            left += node.body  # its methods do not run
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
            for _, block in ast.iter_fields(node):
                left += [part for part in block if isinstance(part, ast.stmt)] if isinstance(block, list) else []


def test_no_module_needs_itself() -> None:
    """Raises CycleError for modules that import each other, whichever is imported first."""
    graph = {}
    for module, name in MODULES.items():
        wanted = {one for node in at_import(TREES[name]) for one in imports(ast.Module([node], []))}
        known = {one if one in MODULES else one.rpartition(".")[0] for one in wanted}
        graph[module] = {one for one in known if one in MODULES and not f"{module}.".startswith(f"{one}.")}
    order = list(TopologicalSorter(graph).static_order())
    assert set(order) == set(MODULES)


@pytest.mark.parametrize("name", OURS)
def test_no_file_is_long(name: str) -> None:
    assert len(FILES[name].read_text().splitlines()) <= 300


def compiled(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("jit" in ast.unparse(decorator) for decorator in function.decorator_list)


@pytest.mark.parametrize("name", FILES)
def test_no_function_takes_many_arguments(name: str) -> None:
    for function in ast.walk(TREES[name]):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and not compiled(function):
            given = function.args
            names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs) if one.arg not in ("self", "cls")]
            assert len(names) <= 7, f"{function.name}({', '.join(names)})"


def compared(tree: ast.AST) -> set[str]:
    """Texts that something is compared with, or looked up by."""
    found: set[str] = set()
    for node in ast.walk(tree):
        parts: list[ast.AST] = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        elif isinstance(node, ast.Subscript):
            parts = [node.slice]
        found |= {
            one.value for part in parts for one in ast.walk(part) if isinstance(one, ast.Constant) and isinstance(one.value, str)
        }
    return found


@pytest.mark.parametrize("name", OURS)
def test_learners_and_worlds_are_asked_for_their_name_in_one_place(name: str) -> None:
    """Their registries; a preset may name one, and a measurement may choose the world that it is made in."""
    said = compared(TREES[name])
    assert name == "h_dqn/learners/__init__.py" or not said & set(LEARNERS)
    kinds = {kind.settings.__name__ for kind in LEARNERS.values()}
    calls = (node for node in ast.walk(TREES[name]) if isinstance(node, ast.Call))
    asked = {ast.unparse(node) for node in calls if ast.unparse(node.func) == "isinstance"}
    own = {f"h_dqn/learners/{learner}.py" for learner in LEARNERS}
    assert name in own or not any(kind in one for one in asked for kind in kinds)
    worlds = said & set(WORLDS)
    assert not worlds or worlds == {"voxel"}, "whoever names another world should ask the registry"


def test_importing_is_light() -> None:
    for package, heavy in (("envs", ("torch", "numba", "cv2")), ("h_dqn", ("torch", "numba", "cv2", "envs", "skills_library"))):
        code = f"import sys, {package}; print(*(name for name in {heavy} if name in sys.modules))"
        assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).split() == []


def test_no_test_module_imports_another() -> None:
    shared = {"conftest", "helpers", "data"}
    for path in sorted((ROOT / "tests").glob("test_*.py")):
        theirs = {one.split(".")[1] for one in imports(ast.parse(path.read_text())) if one.startswith("tests.")}
        assert not {one for one in theirs - shared if one.startswith("test_")}, path.name
