"""Names that are written as plain ``literals`` lead to where they are explained.

The docstrings are read in terminals and editors more often than here, so they have no roles.
"""

from __future__ import annotations

import re
from typing import Any, Iterator

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

from _ext.names import TABLES, target
from telephony import Call, CallInfo


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
    """The member of the class in whose description a literal stands; no argument, not itself."""
    described = [node[0] for node in above if isinstance(node, addnodes.desc)]
    if not described or not described[0].get("fullname"):
        return None
    signature = described[0]
    kind, _, member = signature["fullname"].partition(".")
    parameters = [node.astext() for node in signature.findall(addnodes.desc_parameter)]
    if text.partition("(")[0] in (kind, member, *(re.split("[:=]", p)[0] for p in parameters)):
        return None
    return target(f"{kind}.{text}")


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
    app.add_post_transform(Links)
    app.connect("autodoc-process-docstring", explain_fields)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
