"""The storeys of the house: who may import whom, read from the source."""

from __future__ import annotations

import ast
import sys

import pytest

from tests.house import IMPORTS, MODULES, SATELLITES, own, part, storey

CORE_MAY_USE = {"telephony", "attrs", "attr", "websocket", *sys.stdlib_module_names}


def top_level(module: str) -> set[str]:
    return {name.split(".")[0] for name in IMPORTS[module]}


def reached(module: str) -> set[str]:
    """*module* and all that comes in with it."""
    found: set[str] = set()
    ahead = {module}
    while ahead:
        name = ahead.pop()
        found.add(name)
        ahead |= (own(name) & set(MODULES)) - found
    return found


CORE = sorted(reached("telephony"))


def test_the_house_was_found():
    """The parts that design.md names are there, and their imports were read."""
    expected = {"errors", "protocol", "runtime", "call", "handlers", "config", "client", "sandbox"}
    assert set() == expected - {part(module) for module in MODULES}
    assert "telephony.errors" in IMPORTS["telephony.protocol.session"]
    assert "threading" in IMPORTS["telephony.runtime.dispatcher"]


def test_imports_for_type_checkers_do_not_count():
    """``errors`` names Call for them only; the package loads all it names, if later."""
    assert "telephony.call" not in IMPORTS["telephony.errors"]
    assert "telephony.client" in IMPORTS["telephony"]


@pytest.mark.parametrize("module", CORE)
def test_arrows_only_downward(module):
    """errors < protocol < runtime < call, handlers, config < client."""
    above = {name for name in own(module) if storey(name) > storey(module)}
    assert set() == above
    if part(module) == "client":
        assert "telephony" not in own(module)


@pytest.mark.parametrize("module", CORE)
def test_the_core_imports_no_satellite(module):
    """What comes in with ``import telephony`` knows nothing of what is built on it."""
    assert part(module) not in SATELLITES
    assert set() == {part(name) for name in own(module)} & SATELLITES


@pytest.mark.parametrize("module", CORE)
def test_the_core_needs_no_optional_package(module):
    """websocket-client, attrs and the standard library."""
    assert set() == top_level(module) - CORE_MAY_USE


def test_a_recorder_is_for_production():
    """It needs the core alone, and the core does not need it."""
    assert set() == {part(name) for name in reached("telephony.recording")} & SATELLITES
    assert set() == top_level("telephony.recording") - CORE_MAY_USE
    assert "telephony.recording" not in CORE


@pytest.mark.parametrize("module", [m for m in MODULES if part(m) == "protocol"])
def test_the_protocol_is_pure(module):
    """No socket, no thread, no clock, no logging, and nothing from outside but attrs."""
    forbidden = {"socket", "ssl", "select", "selectors", "threading", "queue", "asyncio", "time",
                 "logging", "websocket", "os", "random", "subprocess", "signal"}
    assert set() == top_level(module) & forbidden
    source = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    calls = {ast.unparse(n.func) for n in ast.walk(source) if isinstance(n, ast.Call)}
    assert set() == calls & {"datetime.now", "datetime.utcnow", "date.today", "open", "print"}


@pytest.mark.parametrize("module", [m for m in MODULES if part(m) == "errors"])
def test_errors_stand_on_nothing(module):
    """They are below everything."""
    assert set() == own(module)


def test_one_file_knows_the_websocket_library():
    """Foreign errors are mapped in runtime, and nowhere else is the library known."""
    users = {part(module) for module in MODULES if "websocket" in top_level(module)}
    assert {"runtime"} == users


@pytest.mark.parametrize("module", [m for m in MODULES if part(m) == "sandbox"])
def test_the_sandbox_has_its_own_reading_of_the_wire(module):
    """A key misspelt on one side must not agree with itself."""
    assert set() == {part(name) for name in own(module)} & {"protocol", "runtime"}
