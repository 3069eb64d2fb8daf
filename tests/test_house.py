"""The direction of the doors: which room may import which."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {
    "envs": {"torch", "h_dqn", "skills_library"},
    "h_dqn": {"envs", "skills_library"},
    "skills_library": {"envs"},
}
FILES = [
    path for room in FORBIDDEN for path in sorted((ROOT / room).rglob("*.py")) if not path.is_relative_to(ROOT / "h_dqn" / "cli")
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module.split(".")[0])
    assert not imported & FORBIDDEN[path.relative_to(ROOT).parts[0]]


def test_importing_the_worlds_is_light() -> None:
    import subprocess
    import sys

    code = "import sys, envs; print('torch' in sys.modules, 'numba' in sys.modules, 'cv2' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).split() == ["False"] * 3
