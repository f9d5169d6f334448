"""docs/howto/go-sdk.rst names all there is, and only that."""

from __future__ import annotations

import inspect
import re

import telephony
from telephony import Call, Client, Event, EventHandler, TelephonyError
from tests.docs.rst import DOCS, Table, literals, read, sphinx, tables
from tests.docs.test_tables import ABOUT, TABLES, public

with sphinx():
    HERE = tables(read(DOCS / "howto" / "go-sdk.rst")[0])


def _second(table: Table) -> list[str]:
    return [row[1].astext() for row in table.rows]


def test_the_handler_is_there_whole() -> None:
    """Each method of it stands in the table, with its arguments, beside an event class."""
    methods = {}
    for row in HERE["handler-methods"].rows:
        name, arguments = re.fullmatch(r"(\w+)\((.*)\)", row[1].astext()).groups()
        parameters = inspect.signature(getattr(EventHandler, name)).parameters
        assert ["self", *arguments.split(", ")] == list(parameters)
        methods[name] = literals(row[2])
    assert public(EventHandler) == set(methods)
    for names in methods.values():
        assert names and all(issubclass(getattr(telephony, name), Event) for name in names)


def test_each_action_has_its_method() -> None:
    """The same actions, by the same methods, as in the README's table."""
    readme = TABLES["client-methods"].column(1)
    by_action = {action: name for name, actions in readme.items() for action in actions}
    for row in HERE["commands"].rows:
        action, method = row[0].astext(), row[1].astext()
        owner, name, arguments = re.match(r"(client|call)\.(\w+)\((.*)\)", method).groups()
        function = getattr({"client": Client, "call": Call}[owner], name)
        spelt = [word.partition("=")[0] for word in arguments.split(", ") if word not in ("", "…")]
        assert set(spelt) <= set(inspect.signature(function).parameters), method
        if action != "any other":
            assert by_action.pop(action) == name
    assert {} == by_action


def test_the_exceptions_exist() -> None:
    """And which of them is safe to try again is as their classes say."""
    for row in HERE["messages"].rows:
        for name in literals(row[1]):
            kind = getattr(telephony, name)
            assert issubclass(kind, TelephonyError) and name in ABOUT["errors"]
            unknown = issubclass(kind, telephony.OutcomeUnknownError)
            assert unknown == row[2].astext().startswith("no:"), name
