"""The rules of the layout, read from the source with the standard library's ``ast``."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src" / "feedmux"
MODULES = sorted(SOURCE.rglob("*.py"))
FOLDERS = {path.name for path in SOURCE.iterdir() if path.is_dir()}

LEVEL = {
    "model": 1,
    "core": 2,
    "wire": 2,
    "venue": 2,
    "_native": 2,
    "client": 3,
    "feed": 4,
    "bus": 4,
    "hub": 4,
    "edge": 4,
    "share": 4,
    "sim": 4,
    "app": 5,
}
PURE = {"model", "core", "wire", "venue", "hub"}
IMPURE_STANDARD = {
    "asyncio", "socket", "time", "random", "secrets", "os", "logging", "threading", "subprocess",
    "multiprocessing", "select", "selectors", "ssl", "signal", "datetime", "uuid",
}  # fmt: skip
THIRD_PARTY: dict[str, set[str]] = {
    "model": {"msgspec"},
    "core": {"msgspec"},
    "wire": {"msgspec"},
    "venue": {"msgspec"},
    "hub": {"msgspec"},
    "client": {"picows", "msgspec"},
    "feed": {"msgspec", "aio_pika"},
    "bus": {"msgspec", "redis", "hiredis"},
    "edge": {"websockets", "jwt", "msgspec"},
    "share": {"msgspec"},
    "sim": {"websockets", "msgspec"},
}
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
ONLY_IN_APP = {"typer", "pydantic", "pydantic_settings", "rich", "structlog", "prometheus_client", "uvloop"}
ONLY_IN_ONE_MODULE = {"aio_pika": "feed/rabbitmq.py", "redis": "bus/redis.py", "hiredis": "bus/redis.py"}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def line_count(path: Path) -> int:
    return len(path.read_text().splitlines())


def folder_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).parts
    return parts[0] if len(parts) > 1 else ""


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    """Every statement of a file; the expressions, which are most of a tree, concern no rule."""
    found: list[ast.AST] = [tree_of(path)]
    for node in found:
        for block in BLOCKS:
            found += getattr(node, block, ())
    return found


@cache
def imports_of(path: Path) -> list[str]:
    """Every module that a file imports, deferred imports included."""
    return list(_imports_of(path))


def _imports_of(path: Path) -> Iterator[str]:
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where they point"
            assert node.module is not None
            yield node.module
            if node.module.startswith("feedmux"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(path: Path) -> Iterator[tuple[str, str]]:
    """(folder, module) of every import of our own that a file makes."""
    for module in imports_of(path):
        parts = module.split(".")
        if parts[0] == "feedmux" and len(parts) > 1 and parts[1] in FOLDERS:
            yield parts[1], module


@cache
def resolve(module: str) -> Path | None:
    base = SOURCE.joinpath(*module.split(".")[1:])
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.exists():
            return candidate
    return None


def by_name(rule: Callable[[Path], None]) -> Callable[[], None]:
    """Make one test of a rule for modules: it names every module that breaks it."""

    def test() -> None:
        broken = []
        for path in MODULES:
            try:
                rule(path)
            except AssertionError as error:
                broken.append(f"{name_of(path)}: {error}")
        assert not broken, "\n".join(broken)

    test.__name__, test.__doc__ = rule.__name__, rule.__doc__
    return test


@by_name
def test_imports_point_down_and_stages_are_strangers(path: Path) -> None:
    folder = folder_of(path)
    if not folder or folder == "app":
        return
    for other, module in own_imports(path):
        if other == folder:
            continue
        assert LEVEL[other] < LEVEL[folder], f"{name_of(path)} imports {module}, which is not below it"


@by_name
def test_only_wiring_and_commands_know_concrete_stages(path: Path) -> None:
    if folder_of(path) != "app" or path.name == "wiring.py":
        return
    allowed = (
        {"sim", "client", "model", "core", "app", "wire"}
        if path.parent.name == "commands"
        else {"model", "core", "app"}
    )
    strangers = {module for other, module in own_imports(path) if other not in allowed}
    assert not strangers, f"{name_of(path)} imports {strangers}; only app/wiring.py may"


@by_name
def test_simulators_never_import_the_decoder_they_test(path: Path) -> None:
    if folder_of(path) == "sim":
        forbidden = {"venue", "client", "edge", "wire"}
        assert not {module for other, module in own_imports(path) if other in forbidden}


@by_name
def test_native_modules_are_imported_by_no_pure_module(path: Path) -> None:
    if folder_of(path) in PURE:
        assert not {module for other, module in own_imports(path) if other == "_native"}


@by_name
def test_pure_modules_do_no_io(path: Path) -> None:
    if folder_of(path) in PURE:
        roots = {module.split(".")[0] for module in imports_of(path)}
        assert not roots & IMPURE_STANDARD, f"{name_of(path)} is pure but imports {roots & IMPURE_STANDARD}"


@by_name
def test_third_party_imports_belong_to_their_folder(path: Path) -> None:
    folder = folder_of(path)
    for module in imports_of(path):
        root = module.split(".")[0]
        if root == "feedmux" or root in sys.stdlib_module_names:
            continue
        if root in ONLY_IN_APP:
            assert folder == "app", f"{root} belongs to app only"
        elif folder != "app":
            assert root in THIRD_PARTY.get(folder, set()), f"{name_of(path)} imports {root}"
        if root in ONLY_IN_ONE_MODULE:
            assert name_of(path) == ONLY_IN_ONE_MODULE[root]


@by_name
def test_sizes(path: Path) -> None:
    assert line_count(path) <= 400, f"{name_of(path)} is longer than 400 lines"
    for node in nodes_of(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= 50, f"{name_of(path)}: {node.name} has {length} lines"
            arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            named = [a for a in arguments if a.arg not in {"self", "cls"}]
            is_command = path.parent.name == "commands"  # typer reads its options from the signature
            assert is_command or len(named) <= 8, f"{name_of(path)}: {node.name} has {len(named)} parameters"


def test_no_native_source_is_longer_than_a_module_may_be() -> None:
    sources = [path for kind in ("pyx", "pxi", "pxd") for path in SOURCE.rglob(f"*.{kind}")]
    sources += [path for path in SOURCE.rglob("*.[ch]") if not path.with_suffix(".pyx").exists()]
    assert sources
    assert not {name_of(path): line_count(path) for path in sources if line_count(path) > 400}


def test_there_are_no_import_cycles() -> None:
    graph = {
        path: {target for _, module in own_imports(path) if (target := resolve(module)) and target != path}
        for path in MODULES
    }
    done: set[Path] = set()

    def visit(path: Path, trail: tuple[Path, ...]) -> None:
        if path in trail:
            raise AssertionError("cycle: " + " → ".join(name_of(p) for p in (*trail, path)))
        if path in done:
            return
        for target in graph[path]:
            visit(target, (*trail, path))
        done.add(path)

    for path in MODULES:
        visit(path, ())


@by_name
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(tree_of(path)), f"{name_of(path)} has no docstring"


@by_name
def test_names_are_the_fields_terms(path: Path) -> None:
    forbidden = ("manager", "handler", "helper", "util", "common", "base", "service", "processor")
    names = [path.stem] + [node.name for node in nodes_of(path) if isinstance(node, ast.ClassDef)]
    for name in names:
        assert not any(word in name.lower() for word in forbidden), f"{name_of(path)}: {name}"
