"""Every public name is explained, typed, in the documents, in the changelog and used in a test.

The names are found by walking the package, so that a new one is not forgotten. Words that only
attrs, enum or Python's own classes bring along are theirs.
"""

from __future__ import annotations

import ast
import enum
import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from typing import Any, Iterator

import pytest

import telephony
import telephony.contrib
import telephony.hooks
import telephony.sandbox
import telephony.testing
import telephony.testing.plugin
from telephony.cli.arguments import parser

ROOT = Path(__file__).parents[2]

#: The packages for users, and what is public in each.
MODULES = {
    "telephony": telephony.__all__,
    "telephony.hooks": ["Hooks"],
    "telephony.sandbox": telephony.sandbox.__all__,
    "telephony.testing": telephony.testing.__all__,
}


def contributed() -> Iterator[tuple[str, list[str]]]:
    """The modules of ``telephony.contrib``, and the names that each of them has for users.

    Where it does not list them, they are the classes and functions that it defines.
    """
    for module in pkgutil.iter_modules(telephony.contrib.__path__, "telephony.contrib."):
        names = vars(importlib.import_module(module.name))
        yield module.name, names.get("__all__") or [
            name for name, thing in names.items()
            if not name.startswith("_") and getattr(thing, "__module__", None) == module.name
            and (inspect.isclass(thing) or inspect.isfunction(thing))
        ]  # fmt: skip


#: A directive that shows a class, and its options.
AUTODOC = re.compile(
    r"^\.\. auto(?:class|exception):: ([\w.]+).*\n((?: +:.*\n)*)", re.MULTILINE
)


#: Each public name, and what it stands for. Those of a contributed module go by their whole names:
#: two of them may have the same word for what is the same in both.
TOP = {
    name: getattr(importlib.import_module(module), name)
    for module, names in MODULES.items()
    for name in names
} | {
    f"{module}.{name}": getattr(importlib.import_module(module), name)
    for module, names in contributed()
    for name in names
}
CLASSES = {name: thing for name, thing in TOP.items() if inspect.isclass(thing)}


def own_members(kind: type) -> Iterator[str]:
    """The public names that a class adds to those of its public bases."""
    public = set(CLASSES.values()) - {kind}
    for base in kind.__mro__:
        if base in public or not base.__module__.startswith("telephony"):
            continue
        if issubclass(base, enum.Enum):
            yield from base.__members__
            continue
        given = set()  # what an error is made with is there as its attributes
        if issubclass(base, BaseException) and "__init__" in vars(base):
            signature = inspect.signature(base.__init__)
            given = {n for n, one in signature.parameters.items() if one.kind is one.KEYWORD_ONLY}
        annotated = base.__dict__.get("__annotations__", {})
        for name in [*vars(base), *annotated, *sorted(given)]:
            if not name.startswith("_"):
                yield name


MEMBERS = {
    f"{owner}.{name}": (kind, name)
    for owner, kind in CLASSES.items()
    for name in dict.fromkeys(own_members(kind))
}

FIXTURES = [
    name for name, thing in vars(telephony.testing.plugin).items()
    if name.startswith("telephony_")
]
COMMANDS = list(next(
    action.choices for action in parser()._actions
    if isinstance(action.choices, dict)
))  # fmt: skip

#: All of it, as the changelog lists it: by what it belongs to.
LISTED = {
    "telephony": [name for name in telephony.__all__ if not name.startswith("_")],
    **{
        module: [name for name in names if name not in telephony.__all__]
        for module, names in [*MODULES.items(), *contributed()] if module != "telephony"
    },
    **{
        owner: [name.rpartition(".")[2] for name in MEMBERS if name.rpartition(".")[0] == owner]
        for owner in CLASSES
    },
    "command line": COMMANDS,
    "fixtures": FIXTURES,
}  # fmt: skip


def words_of_documents() -> set[str]:
    """The words of all documents but the changelog, and the members that autodoc is to show."""
    words = set()
    for path in [ROOT / "README.rst", *sorted((ROOT / "docs").rglob("*.rst"))]:
        if path.name == "changelog.rst":
            continue
        text = path.read_text(encoding="utf-8")
        words |= set(re.findall(r"\w+", text))
        for name, options in AUTODOC.findall(text):
            kind = CLASSES.get(name) or CLASSES.get(name.rpartition(".")[2])
            if ":no-members:" not in options and kind is not None:
                words |= set(own_members(kind))
    return words


def words_of_tests() -> set[str]:
    """The names, attributes, keywords and arguments that any other test has."""
    words: set[str] = set()
    for path in sorted(ROOT.joinpath("tests").rglob("*.py")):
        if path == Path(__file__):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                words.add(node.attr)
            elif isinstance(node, ast.Name):
                words.add(node.id)
            elif isinstance(node, (ast.keyword, ast.arg)) and node.arg:
                words.add(node.arg)
            elif isinstance(node, ast.FunctionDef):  # a hook, a handler's method
                words.add(node.name)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                words |= set(node.value.split())  # a command with its arguments, a program's text
    return words


def words_of_changelog() -> dict[str, set[str]]:
    """The public names that any release lists, by what they belong to."""
    text = (ROOT / "docs" / "changelog.rst").read_text(encoding="utf-8")
    one_line_each = re.sub(r"\n  +", " ", text)
    found: dict[str, set[str]] = {}
    for owner, names in re.findall(r"^\* ([\w. ]+): ``([^`]+)``$", one_line_each, re.M):
        found.setdefault(owner, set()).update(names.split())
    return found


DOCUMENTED, USED, CHANGES = words_of_documents(), words_of_tests(), words_of_changelog()


def complete(function: Any) -> bool:
    """Whether all arguments and the result have annotations."""
    signature = inspect.signature(function)
    arguments = [one for one in signature.parameters.values() if one.name not in ("self", "cls")]
    unset = inspect.Parameter.empty
    return signature.return_annotation is not unset and all(
        one.annotation is not unset for one in arguments
    )


def functions_of(thing: Any) -> list[Any]:
    """The functions behind a member."""
    if isinstance(thing, property):
        return [one for one in (thing.fget, thing.fset) if one is not None]
    thing = getattr(thing, "__func__", thing)
    return [thing] if inspect.isfunction(thing) else []


def annotated(kind: type, name: str) -> bool:
    """Whether a field has its type in the class, or in what its ``__init__`` takes."""
    return any(
        name in base.__dict__.get("__annotations__", {})
        or name in getattr(base.__init__, "__annotations__", {})
        for base in kind.__mro__
    )


def test_the_surface_was_found():
    """Or nothing would be looked at."""
    assert {"Client.dial", "Client.health", "Call.info", "Call.wait_for", "CallInfo.billsec",
            "CallState.HANGUP", "DtmfReceived.echo", "OutcomeUnknownError.call", "Sandbox.refuse",
            "FarEnd.press", "Hooks.connected", "Health.in_flight"} <= set(MEMBERS)
    assert "telephony.contrib.prometheus.PrometheusHooks" in CLASSES
    assert {"demo", "check", "dial", "listen", "sandbox"} <= set(COMMANDS)
    assert {"telephony_sandbox", "telephony_client"} <= set(FIXTURES)
    assert "TrackedCall" not in CLASSES


@pytest.mark.parametrize("name", [name for name in TOP if not name.startswith("_")])
def test_a_name(name):
    """A class or function has a docstring and types; any name is documented and used."""
    thing = TOP[name]
    if inspect.isclass(thing) or inspect.isfunction(thing):
        assert (inspect.getdoc(thing) or "").strip()
        function = vars(thing).get("__init__") if inspect.isclass(thing) else thing
        if inspect.isfunction(function):
            assert complete(function), "annotations are missing"
    word = name.rpartition(".")[2]
    assert word in DOCUMENTED, "it is in no document"
    assert word in USED, "no test uses it"


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member(name):
    """A method or property has a docstring and types, a field is explained with its class."""
    kind, member = MEMBERS[name]
    thing = inspect.getattr_static(kind, member, None)
    functions = functions_of(thing)
    for function in functions:
        assert complete(function), "annotations are missing"
    if functions:
        assert (inspect.getdoc(thing) or "").strip()
    elif not issubclass(kind, enum.Enum):
        explained = " ".join(base.__doc__ or "" for base in kind.__mro__)
        assert re.search(rf"\b{member}\b", explained) or member in DOCUMENTED
        assert annotated(kind, member), "its type is missing"
    assert member in DOCUMENTED, "it is in no document"
    assert member in USED, "no test uses it"


@pytest.mark.parametrize("name", [*COMMANDS, *FIXTURES])
def test_a_command_or_fixture(name):
    """Explained, in the documents, and used by a test."""
    if name in FIXTURES:
        assert (inspect.getdoc(getattr(telephony.testing.plugin, name)) or "").strip()
    assert name in DOCUMENTED, "it is in no document"
    assert name in USED, "no test uses it"


def test_the_changelog():
    """Each name is listed with the release it came in, and none that does not exist."""
    listed = {owner: set(names) for owner, names in LISTED.items() if names}
    missing = {
        owner: names - CHANGES.get(owner, set()) for owner, names in listed.items()
        if names - CHANGES.get(owner, set())
    }
    lines = [f"* {owner}: ``{' '.join(sorted(names))}``" for owner, names in missing.items()]
    assert not lines, "lacking among the release's new names:\n" + "\n".join(lines)
    gone = {owner: names - listed.get(owner, set()) for owner, names in CHANGES.items()}
    assert {} == {owner: names for owner, names in gone.items() if names}
