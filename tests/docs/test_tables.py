"""The tables of README.rst name what there is: all of it, and nothing else."""

from __future__ import annotations

import builtins
import inspect
import re
from typing import Any, Callable

import attrs
import pytest

import telephony
import telephony.sandbox
import telephony.testing
from telephony import Backoff, Call, CallInfo, Client, Event, EventHandler, TelephonyError
from telephony.hooks import Hooks
from telephony.protocol import commands
from telephony.protocol.events import CALL_EVENTS
from telephony.sandbox import FarEnd, Sandbox
from telephony.testing import Replay, plugin
from tests.docs.rst import README, literals, read, tables

TREE = read(README)[0]
TABLES = tables(TREE)


def public(kind: type) -> set[str]:
    """The names of a class that are for users."""
    return {name for name in dir(kind) if not name.startswith("_")}


def exported(kind: type) -> set[str]:
    """The classes of a kind that ``telephony`` exports."""
    found = (getattr(telephony, name) for name in telephony.__all__)
    return {each.__name__ for each in found if isinstance(each, type) and issubclass(each, kind)}


def keywords(fn: Callable[..., Any], kind: Any = inspect.Parameter.KEYWORD_ONLY) -> set[str]:
    """The names of a function's keyword-only parameters."""
    return {name for name, each in inspect.signature(fn).parameters.items() if each.kind is kind}


ABOUT = {
    "client-methods": public(Client),
    "call-members": public(Call),
    "dial-arguments": keywords(Client.dial),
    "options": keywords(Client.__init__),
    "events": exported(Event),
    "errors": exported(TelephonyError),
    "sandbox-members": public(Sandbox),
    "far-end-members": public(FarEnd),
    "hooks": public(Hooks),
    "pytest-fixtures-table": {name for name in vars(plugin) if name.startswith("telephony_")},
    "replay-members": public(Replay),
}


@pytest.mark.parametrize("name", ABOUT)
def test_table_names_all_there_is(name: str) -> None:
    """What the code has and what the table has are the same names, each once."""
    names = TABLES[name].names()
    assert ABOUT[name] == set(names)
    assert len(ABOUT[name]) == len(names)


def test_every_field_of_a_call_is_its_attribute() -> None:
    """A call reads as its snapshot, so that the table is about both."""
    assert public(CallInfo) <= ABOUT["call-members"]


@pytest.mark.parametrize(
    "name, kind",
    [
        ("client-methods", Client),
        ("call-members", Call),
        ("sandbox-members", Sandbox),
        ("far-end-members", FarEnd),
        ("hooks", Hooks),
        ("replay-members", Replay),
    ],
)
def test_arguments_in_the_tables_exist(name: str, kind: type) -> None:
    """What is written with brackets is a method, and has the arguments named in them."""
    for text in TABLES[name].first:
        member, bracket, arguments = text.rstrip(")").partition("(")
        value = getattr(kind, member)
        assert bool(bracket) == (inspect.isroutine(value)), text
        if bracket and arguments:
            parameters = inspect.signature(value).parameters
            assert [] == [a for a in arguments.split(", ") if a not in parameters], text


def test_wire_actions() -> None:
    """The table gives each method the action that its command has on the wire."""
    column = TABLES["client-methods"].column(1)
    named = {action for actions in column.values() for action in actions}
    kinds = [kind for kind in vars(commands).values() if isinstance(kind, type)]
    coded = {getattr(kind, "action", None) for kind in kinds if issubclass(kind, commands.Command)}
    assert {action for action in coded if isinstance(action, str)} | {"register"} == named


def test_wire_names_of_events() -> None:
    """The table gives each event class the wire's name for it."""
    column = TABLES["events"].column(1)
    named = {names[0]: kind for kind, names in column.items() if names}
    assert {name: kind.__name__ for name, kind in CALL_EVENTS.items()} == named


def test_fields_of_events() -> None:
    """The table gives each event class the fields it adds."""
    for name, fields in TABLES["events"].column(2).items():
        kind = getattr(telephony, name)
        inherited = {
            field.name
            for base in kind.__bases__
            for field in (attrs.fields(base) if attrs.has(base) else ())
        }
        own = {field.name for field in attrs.fields(kind)} - inherited
        assert own == set(fields) - {"None"}, name


def test_attributes_of_errors() -> None:
    """The table gives each error class the arguments that become its attributes."""
    for name, attributes in TABLES["errors"].column(1).items():
        kind = getattr(telephony, name)
        own = set()
        if "__init__" in vars(kind):
            inherited: set[str] = set()
            for base in kind.__bases__:
                if issubclass(base, TelephonyError) and "__init__" in vars(base):
                    inherited |= keywords(base)
            own = keywords(kind) - inherited
        assert own == set(attributes), name


def test_defaults_of_options() -> None:
    """The table gives each option the default it has."""
    parameters = inspect.signature(Client.__init__).parameters
    for name, (default,) in TABLES["options"].column(1).items():
        assert parameters[name].default == eval(default), name


def test_backoff_is_as_described() -> None:
    """The option's text gives the pauses' arguments and what they are unless given."""
    text = dict(zip(TABLES["options"].names(), TABLES["options"].rows))["reconnect"][2].astext()
    assert "Backoff(initial, maximum, jitter)" in text
    assert "(1, 30 and True unless given)" in text
    assert Backoff(initial=1, maximum=30, jitter=True) == Backoff()


def test_classes_spoken_of_exist() -> None:
    """Every class named anywhere in the text can be imported from ``telephony``."""
    named = {
        word
        for text in literals(TREE)
        for word in re.findall(r"(?<![\w.…])(?:[A-Z][a-z]+){2,}\b(?!-)", text)
    } - {"WebSocket"}
    places = (telephony, telephony.sandbox, telephony.testing, builtins)
    assert {"ConnectError", "BridgeStarted", "CallState"} <= named
    assert set() == {name for name in named if not any(hasattr(p, name) for p in places)}


def test_methods_spoken_of_exist() -> None:
    """Every ``client.x``, ``call.x`` and ``event.x`` in the text and the code is there."""
    events = [getattr(telephony, name) for name in ABOUT["events"]]
    kinds = {
        "client": public(Client),
        "call": ABOUT["call-members"],
        "event": {field.name for event in events for field in attrs.fields(event)},
        "cm": public(Sandbox),
        "caller": public(FarEnd),
    }
    used = re.findall(r"\b(client|call|event|cm|caller)\.([a-z_]+)", TREE.astext())
    assert ("call", "wait_answered") in used
    assert [] == [(owner, name) for owner, name in used if name not in kinds[owner]]


def test_states_of_the_handler_object_are_named() -> None:
    """The handler object of the text has only methods that are called."""
    used = set(re.findall(r"\bon_[a-z_]+", TREE.astext()))
    assert {"on_call_incoming"} <= used <= public(EventHandler)


def test_commands() -> None:
    """The commands there are."""
    from telephony.cli.commands import COMMANDS

    assert list(COMMANDS) == TABLES["commands"].names()


def test_environment() -> None:
    """The variables that ``from_env`` names are in the table, and so are the command line's."""
    from telephony.cli.environment import VARIABLES

    listed = set(VARIABLES)
    assert {"CM_HOST", "AUTH_TOKEN", "APPID", "CLIENT_ID"} <= listed
    assert listed | {"HTTPS_PROXY", "NO_PROXY"} == set(TABLES["environment"].names())
