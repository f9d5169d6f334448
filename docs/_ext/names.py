"""Names that are written as plain ``literals`` lead to where they are explained.

The docstrings are read in terminals and editors more often than here, so they have no roles.
"""

from __future__ import annotations

import importlib
import re
from typing import Any, Iterator

import telephony
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform
from telephony import Call, CallInfo

#: How the text speaks of an object, and the class whose member is meant.
OWNERS = {
    "client": "telephony.Client",
    "call": "telephony.Call",
    "cm": "telephony.sandbox.Sandbox",
    "Sandbox": "telephony.sandbox.Sandbox",
    "FarEnd": "telephony.sandbox.FarEnd",
    "Hooks": "telephony.hooks.Hooks",
    "Recorder": "telephony.testing.Recorder",
    "Replay": "telephony.testing.Replay",
    "PrometheusHooks": "telephony.contrib.prometheus.PrometheusHooks",
    **{name: f"telephony.{name}" for name in telephony.__all__ if not name.startswith("_")},
}

#: The tables whose first column names members, and whose they are.
TABLES = {
    "client-methods": "client",
    "call-members": "call",
    "sandbox-members": "Sandbox",
    "far-end-members": "FarEnd",
    "hooks": "Hooks",
    "replay-members": "Replay",
}


def target(text: str) -> str | None:
    """The public name that a literal is about: ``Call``, ``call.wait_ended(timeout=3)`` …"""
    found = re.fullmatch(r"(\w+)(?:\.(\w+))?(?:\(.*\))?", text, re.DOTALL)
    if found is None or found[1] not in OWNERS:
        return None
    owner, member = OWNERS[found[1]], found[2]
    if member is None:
        return owner if found[1][0].isupper() else None
    module, _, name = owner.rpartition(".")
    kind = getattr(importlib.import_module(module), name)
    for base in kind.__mro__:
        if member in vars(base) or member in vars(base).get("__annotations__", {}):
            break
    else:
        return None
    if member.startswith("_") or base is object:
        return None
    return f"{OWNERS.get(base.__name__, owner)}.{member}"  # where it is explained


class Links(SphinxPostTransform):
    """Makes links of such literals, before links are resolved."""

    default_priority = 5

    def run(self, **kwargs: Any) -> None:
        for literal in list(self.document.findall(nodes.literal)):
            above = list(_above(literal))
            name = target(_owner(above) + literal.astext()) or _sibling(above, literal.astext())
            if name is None or any(isinstance(node, LINKED) for node in above):
                continue
            link = addnodes.pending_xref(
                "",
                refdomain="py",
                reftype="obj",
                reftarget=name,
                refdoc=self.env.docname,
                refwarn=True,
            )
            literal.replace_self(link)
            link += literal


#: Where no link is wanted, or one is already.
LINKED = (nodes.title, nodes.reference, addnodes.pending_xref, addnodes.desc_signature)


def _above(node: nodes.Node) -> Iterator[nodes.Element]:
    while node.parent is not None:
        node = node.parent
        yield node


def _owner(above: list[nodes.Element]) -> str:
    """``client.`` in the first column of the table of its methods, else nothing."""
    cells = [node for node in above if isinstance(node, nodes.entry)]
    tables = [node for node in above if isinstance(node, nodes.table)]
    if cells and tables and cells[0].parent.index(cells[0]) == 0:
        for name in tables[0]["names"]:
            if name in TABLES:
                return f"{TABLES[name]}."
    return ""


def _sibling(above: list[nodes.Element], text: str) -> str | None:
    """The member of the class in whose description a literal stands, but not the one it is in."""
    described = [node[0] for node in above if isinstance(node, addnodes.desc)]
    if not described or not described[0].get("fullname"):
        return None
    signature = described[0]
    kind, _, member = signature["fullname"].partition(".")
    if text.partition("(")[0] in (kind, member):
        return None
    return target(f"{kind}.{text}")


class BlockNames(SphinxTransform):
    """Lets pages have code blocks of the same ``:name:``, which is for those who run them."""

    default_priority = 840  # before Sphinx collects labels

    def apply(self, **kwargs: Any) -> None:
        for node in self.document.findall(nodes.Element):
            if isinstance(node, nodes.literal_block) or node.get("literal_block"):
                for name in node["names"]:
                    self.document.nametypes[name] = False


class Labels(SphinxPostTransform):
    """Gives each cell of a table of three and more columns its heading, for narrow screens.

    There a row is shown as a paragraph for each cell; elsewhere the headings are hidden.
    """

    default_priority = 6
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        for table in self.document.findall(nodes.table):
            heads = table.findall(nodes.thead)
            headings = [entry for head in heads for entry in head.findall(nodes.entry)]
            if len(headings) < 3:
                continue
            titles = [entry.astext() for entry in headings]
            for row in next(table.findall(nodes.tbody)).findall(nodes.row):
                for title, entry in list(zip(titles, row.findall(nodes.entry)))[1:]:
                    if entry.children:
                        label = nodes.inline(title, f"{title}: ", classes=["label"])
                        entry.children[0].insert(0, label)


def explain_fields(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """A field of ``CallInfo`` is what ``Call`` says of its attribute."""
    owner, _, field = name.rpartition(".")
    if owner.endswith("CallInfo") and hasattr(CallInfo, field):
        explained = getattr(Call, field, None)
        if isinstance(explained, property):
            lines[:] = [*(explained.__doc__ or "").splitlines(), ""]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_transform(BlockNames)
    app.add_post_transform(Links)
    app.add_post_transform(Labels)
    app.connect("autodoc-process-docstring", explain_fields)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
