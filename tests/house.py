"""The house: its modules, which storey each is on, and who imports whom, read from the source."""

from __future__ import annotations

import ast
from pathlib import Path

import telephony

ROOT = Path(telephony.__file__).parent
MODULES = {
    ".".join(("telephony", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): path
    for path in sorted(ROOT.rglob("*.py"))
}

#: What is above the core; the core never imports it.
SATELLITES = {"cli", "__main__", "sandbox", "testing", "contrib"}
STOREYS = ["_version", "errors", "hooks", "protocol", "runtime", None, "client", "telephony"]


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(path: Path, module: str) -> set[str]:
    """The modules that *path* imports when it runs; names from a package count as modules.

    What the package itself names for type checkers counts: it imports that when it is used.
    """
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if is_type_checking(node) and module != "telephony":
            for other in node.orelse:  # type: ignore[attr-defined]
                visit(other)
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module if path.name == "__init__.py" else module.rpartition(".")[0]
                parts = package.split(".")
                parts = parts[: len(parts) - node.level + 1]
                base = ".".join([*parts, *filter(None, [base])])
            for alias in node.names:
                name = f"{base}.{alias.name}"
                found.add(name if name in MODULES else base)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found


IMPORTS = {module: imports(path, module) for module, path in MODULES.items()}


def part(module: str) -> str:
    """The part of the package a module belongs to: ``protocol``, ``client`` …"""
    return module.split(".")[1] if "." in module else module


def storey(module: str) -> int:
    """How high up; the modules between runtime and client share one storey."""
    name = part(module)
    return STOREYS.index(name if name in STOREYS else None)


def own(module: str) -> set[str]:
    return {name for name in IMPORTS[module] if name.split(".")[0] == "telephony"}
