"""The shape of the code: sizes, direction of imports, no cycles, light start, nothing empty."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "bactrian"
FILES = sorted(SOURCE.rglob("*.py"))
ALL_FILES = sorted([*FILES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "demo").rglob("*.py")])

LEVELS = {
    "errors": 0,
    "languages": 0,
    "markdown": 0,
    "schema": 0,
    "text": 0,
    "cluster": 1,
    "files": 1,
    "events": 1,
    "ledger": 1,
    "processes": 1,
    "recipe": 1,
    "registry": 1,
    "runs": 1,
    "table": 1,
    "workspace": 1,
    "written": 1,
    "providers": 2,
    "models": 2,
    "data": 3,
    "train": 3,
    "evaluate": 3,
    "publish": 3,
    "ui": 4,
    "cli": 5,
}
"""What a module or package may import: its own level or below, as docs/design.md draws it."""
APART = 3
"""At this level no package imports another."""
HEAVY = ("torch", "transformers", "pyarrow", "numpy", "gradio", "matplotlib", "peft", "pydantic")


def part(path: Path) -> str:
    """Return the top-level module or package of a file."""
    relative = path.relative_to(SOURCE)
    return relative.parts[0].removesuffix(".py")


def name(path: Path) -> str:
    """Return the dotted module name."""
    parts = ["bactrian", *path.relative_to(SOURCE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield every module that is imported anywhere in the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def at_module_level(tree: ast.Module) -> Iterator[str]:
    """Yield what runs at import time, TYPE_CHECKING blocks left out."""
    body: list[ast.stmt] = [
        node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    yield from imports(ast.Module(body=body, type_ignores=[]))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


@pytest.mark.parametrize("path", ALL_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 350, f"{path} is longer than 350 lines"
    for node in functions(parsed(path)) if path.is_relative_to(SOURCE) else ():
        assert lines(node) <= 60, f"{path}:{node.lineno} {node.name} is longer than 60 lines"
        positional = [arg.arg for arg in node.args.posonlyargs + node.args.args]
        positional = [arg for arg in positional if arg not in ("self", "cls", "ctx")]
        if part(path) != "cli":  # a verb's parameters are its options
            assert len(positional) <= 5, f"{path}:{node.lineno} {node.name} takes {positional}"


def test_the_median_function_is_short() -> None:
    sizes = [lines(node) for path in FILES for node in functions(parsed(path))]
    assert statistics.median(sizes) < 15


def test_every_part_has_a_level() -> None:
    parts = {part(path) for path in FILES} - {"__init__", "__main__"}
    assert parts == LEVELS.keys()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_down(path: Path) -> None:
    mine = part(path)
    if mine in ("__init__", "__main__"):
        return
    for imported in imports(parsed(path)):
        if not imported.startswith("bactrian.") or (other := imported.split(".")[1]) not in LEVELS:
            continue
        if other == mine:
            continue
        assert LEVELS[other] <= LEVELS[mine], f"{path} imports {imported}, which is above it"
        if LEVELS[mine] == LEVELS[other] == APART:
            raise AssertionError(f"{path} imports {imported}: stages meet on disk only")


def test_there_is_no_import_cycle() -> None:
    modules = {name(path): path for path in FILES}
    graph = {
        module: {found for found in at_module_level(parsed(path)) if found in modules} - {module}
        for module, path in modules.items()
    }
    done: set[str] = set()

    def walk(module: str, trail: tuple[str, ...]) -> None:
        if module in done:
            return
        assert module not in trail, f"import cycle: {' -> '.join((*trail, module))}"
        for other in sorted(graph[module]):
            walk(other, (*trail, module))
        done.add(module)

    for module in graph:
        walk(module, ())


def test_no_module_is_empty_and_none_says_not_yet() -> None:
    for path in FILES:
        tree = parsed(path)
        assert ast.get_docstring(tree), f"{path} has no docstring"
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise) and node.exc is not None:
                assert "NotImplementedError" not in ast.dump(node.exc), f"{path}:{node.lineno}"


def test_public_functions_and_classes_say_what_they_are() -> None:
    silent = [
        f"{path}:{node.lineno} {node.name}"
        for path in FILES
        for node in parsed(path).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert not silent


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from bactrian.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert "translate" in done.stdout
