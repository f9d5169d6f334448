"""The pages of ``docs/`` are complete, as far as can be said without building them."""

from __future__ import annotations

import html
import importlib
import re
from pathlib import Path
from typing import Any

import attrs
import pytest
from _ext import diagrams, names

import telephony
import telephony.sandbox
from telephony import TelephonyError
from telephony.protocol.states import TRANSITIONS, CallState
from tests import house
from tests.docs.rst import DOCS, ROOT, literals, pages, read, sphinx, tables
from tests.docs.test_tables import ABOUT
from tests.links import broken
from tests.unit.test_public import COMMANDS

PAGES = [page for page in pages() if page.is_relative_to(DOCS)]


def text_of(page: str) -> str:
    return (DOCS / f"{page}.rst").read_text("utf-8")


def tables_of(page: str) -> dict[str, Any]:
    with sphinx():
        return tables(read(DOCS / f"{page}.rst")[0])


# --- which pages there are -------------------------------------------------------------------


def in_toctrees() -> list[str]:
    """Every page that the toctrees of index.rst name, in their order."""
    trees = re.findall(r"^\.\. toctree::\n((?:   .*\n|\n)+)", text_of("index"), re.MULTILINE)
    entries = [line.strip() for tree in trees for line in tree.splitlines()]
    return [entry for entry in entries if entry and not entry.startswith(":")]


def test_every_page_is_in_a_toctree() -> None:
    """Once each, and the toctrees name no other; so do the links between the pages."""
    there = [page.relative_to(DOCS).with_suffix("").as_posix() for page in PAGES]
    assert sorted(there) == sorted(["index", *in_toctrees()])


@pytest.mark.parametrize("page", ["project/layout", "project/contributing", "understand/life"])
def test_paths_spoken_of_exist(page: str) -> None:
    """Files of the library and of the tests that a page names."""
    paths = set(re.findall(r"``((?:[a-z_]+/)*[a-z_]+\.py|tests/[a-z_/]+)``", text_of(page)))
    assert paths
    missing = [p for p in paths if not (ROOT / p).exists() and not (house.ROOT / p).exists()]
    assert [] == missing


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    """To a missing page, and to a missing place; those elsewhere are left alone."""
    (tmp_path / "there.html").write_text('<p id="place">')
    (tmp_path / "index.html").write_text(
        '<a href="there.html#place"><a href="#"><a href="https://elsewhere.example/">'
        '<a href="there.html#nowhere"><a href="gone.html"><img src="gone.svg"><a href="#here">'
    )
    nowhere = ["there.html#nowhere", "gone.html", "gone.svg", "#here"]
    assert [f"index.html: {link}" for link in nowhere] == broken(tmp_path)


# --- the reference ---------------------------------------------------------------------------


def documented() -> list[str]:
    """The objects that the reference has autodoc explain."""
    directive = re.compile(r"^\.\. auto(?:class|exception|data|function):: ([\w.]+)", re.MULTILINE)
    return [name for page in PAGES for name in directive.findall(page.read_text("utf-8"))]


@pytest.mark.parametrize("module", ["telephony", "telephony.sandbox", "telephony.testing"])
def test_every_public_name_is_in_the_reference(module: str) -> None:
    """Autodoc explains each, once."""
    exported = getattr(importlib.import_module(module), "__all__", [])
    wanted = [f"{module}.{name}" for name in exported if not name.startswith("_")]
    found = [name for name in documented() if name.rpartition(".")[0] == module]
    assert sorted(wanted) == sorted(found)


def test_every_method_of_the_client_is_in_the_reference() -> None:
    """They stand there one by one, in groups, and each once."""
    directive = re.compile(r"^\.\. auto(?:method|property):: telephony\.Client\.(\w+)$", re.M)
    found = directive.findall(text_of("reference/client"))
    assert sorted(ABOUT["client-methods"]) == sorted(found)


def test_what_the_reference_names_exists() -> None:
    """Autodoc would fail for a name that is not there; so does this, sooner."""
    assert "telephony.hooks.Hooks" in documented()
    for name in documented():
        module, _, attribute = name.rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name


def test_wire_fields() -> None:
    """Each field is read somewhere in the protocol, into the attribute that the table gives."""
    table = tables_of("reference/events")["wire-fields"]
    sources = [path for name, path in house.MODULES.items() if "protocol" in name]
    read_somewhere = "".join(path.read_text("utf-8") for path in sources)
    for field, attribute in zip(table.first, table.column(1).values()):
        assert f'"{field}"' in read_somewhere, field
        kind, _, name = attribute[0].partition(".")
        owner = getattr(telephony, kind)
        assert hasattr(owner, name) or name in attrs.fields_dict(owner), attribute


def test_every_error_has_its_cure() -> None:
    """All but the classes that only gather others."""
    kinds = {
        name
        for name in telephony.__all__
        if isinstance(getattr(telephony, name), type)
        and issubclass(getattr(telephony, name), TelephonyError)
    }
    gathering = {"TelephonyError", "NotSentError", "OutcomeUnknownError"}
    named = tables_of("reference/errors")["causes-and-cures"].names()
    assert kinds - gathering == set(named)
    assert len(set(named)) == len(named)


def test_every_command_may_be_repeated_or_not() -> None:
    """The page on outcomes says so of each."""
    named = tables_of("understand/outcomes")["again"].names()
    assert {*COMMANDS, "dial", "subscribe", "command"} == set(named)


def test_literals_lead_to_what_they_name() -> None:
    """Names of public objects and their members do, other words do not."""
    assert "telephony.Call" == names.target("Call")
    assert "telephony.Client.dial" == names.target("client.dial()")
    assert "telephony.Call.wait_answered" == names.target("call.wait_answered(timeout=30)")
    assert "telephony.sandbox.Sandbox" == names.target("telephony.sandbox.Sandbox")
    assert "telephony.CallHangup.billsec" == names.target("CallHangup.billsec")
    assert "telephony.sandbox.Sandbox.peer" == names.target("cm.peer(call)")
    for word in ("call", "client.nothing", "call._place", "None", "with call:", "python -m x"):
        assert names.target(word) is None, word


def test_members_spoken_of_exist() -> None:
    """``client.x`` and ``Call.x`` on any page is there, or is text of another kind."""
    for page in PAGES:
        with sphinx():
            found = literals(read(page)[0])
        for text in found:
            match = re.fullmatch(r"(\w+)\.(\w+)(\(.*\))?", text)
            if match and match[1] in names.OWNERS and match[2] not in ("py", "rst"):
                assert names.target(text), f"{page}: {text}"


# --- the diagrams ----------------------------------------------------------------------------

BOX = re.compile(r'^"(\w+)" \[label=<(.*)>\];$', re.MULTILINE)
ARROW = re.compile(r'^(\w+) -> (\w+) \[label="(.*?)"', re.MULTILINE)


def boxes(source: str) -> dict[str, list[str]]:
    """The boxes of a diagram by their names, with the lines of text in each."""
    return {
        name: [html.unescape(row) for row in re.findall(r">([^<>]+)</(?:b|font)>", label)]
        for name, label in BOX.findall(source)
    }


def drawn_moves(direction: str) -> list[tuple[str, str, str]]:
    """All transitions of a diagram: state before, event, state after."""
    source = diagrams.life(direction)
    found = []
    for state, (title, *rows) in boxes(source).items():
        assert state == title
        for row in rows:
            event, _, after = row.partition(" → ")
            found.append((state, event, after or state))
    for before, after, label in ARROW.findall(source):
        found += [(before, event, after) for event in label.replace("\\l", " ").split()]
    return found


def test_the_diagrams_have_every_transition() -> None:
    """Each state and each transition of the table is drawn, once in a diagram, and no other."""
    table = {
        (str(before), event, str(after))
        for event, moves in TRANSITIONS.items()
        for before, after in moves.items()
    }
    outbound, inbound = drawn_moves("outbound"), drawn_moves("inbound")
    assert len(set(outbound)) == len(outbound) and len(set(inbound)) == len(inbound)
    assert table == set(inbound)
    assert {move for move in table if "incoming" != move[0]} == set(outbound)
    assert {str(state) for state in CallState} == set(boxes(diagrams.life("inbound")))


def test_the_table_has_every_transition() -> None:
    """Each event and each state but the last, which nothing leads out of."""
    (_, *states), *rows = diagrams.table()
    found = {
        (before, event, before if after == "stays" else after)
        for event, *row in rows
        for before, after in zip(states, row)
        if after != "–"
    }
    assert set(drawn_moves("inbound")) == found


@pytest.mark.parametrize("direction", diagrams.WAYS)
def test_the_usual_way_leads_to_the_end(direction: str) -> None:
    """The heavy arrows are one line from the beginning to the hangup."""
    usual = re.findall(r"^(\w+) -> (\w+) \[.*class=usual", diagrams.life(direction), re.MULTILINE)
    way = ["begin"]
    for before, after in usual:
        assert before == way[-1]
        way.append(after)
    assert ["answered", "bridged", "unbridged", "hangup"] == way[-4:]


def test_the_storeys_have_every_module() -> None:
    """Each is in its box, and each import is an arrow or a way along several."""
    source = diagrams.storeys()
    found = boxes(source)
    arrows = set(re.findall(r'^"(\w+)" -> "(\w+)";', source, re.MULTILINE))
    reached = {(one, other) for one, other in arrows}
    while True:
        further = {(a, d) for a, b in reached for c, d in reached if b == c} - reached
        if not further:
            break
        reached |= further
    for module in house.MODULES:
        box, name = diagrams.storey(module), module.rpartition(".")[2]
        words = " ".join(found[box]).replace(",", " ").split()
        assert name in words, module
        for other in house.own(module):
            below = diagrams.storey(other)
            assert box == below or (box, below) in reached, (module, other)
    for one, other in arrows:
        assert any(
            other in map(diagrams.storey, house.own(module))
            for module in house.MODULES
            if one == diagrams.storey(module)
        )


def test_the_layout_lists_every_module() -> None:
    """Each box of the diagram has its list on the page."""
    listed = set(re.findall(r"^\.\. modules:: (\w+)", text_of("project/layout"), re.MULTILINE))
    assert set(boxes(diagrams.storeys())) - {"telephony", "_version", "__main__"} == listed
