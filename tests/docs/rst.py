"""The documents as docutils reads them: their code blocks and their tables."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Iterator

import attrs
from docutils import nodes
from docutils.core import publish_doctree

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.rst"
CHANGELOG = ROOT / "docs" / "changelog.rst"
PROMISES = ROOT / "docs" / "promises.rst"
PERFORMANCE = ROOT / "docs" / "performance.rst"


@attrs.frozen
class Block:
    """One code block: its ``:name:``, its language (``""``: none given) and its text."""

    name: str
    language: str
    text: str
    line: int


@attrs.frozen
class Table:
    """One table: its ``:name:``, and each row's cells as nodes. The header is not among them."""

    name: str
    rows: tuple[tuple[nodes.entry, ...], ...]

    @property
    def first(self) -> list[str]:
        """The first cell of each row, as text."""
        return [row[0].astext() for row in self.rows]

    def names(self) -> list[str]:
        """The same without what stands in brackets: the names the table is about."""
        return [text.partition("(")[0] for text in self.first]

    def column(self, number: int) -> dict[str, list[str]]:
        """What stands as code in one column, by the name in the first."""
        return {name: literals(row[number]) for name, row in zip(self.names(), self.rows)}


def literals(node: nodes.Element) -> list[str]:
    """What stands between double backquotes in *node*."""
    return [literal.astext() for literal in node.findall(nodes.literal)]


def read(path: Path) -> tuple[nodes.document, str]:
    """The document, and what docutils has to complain of in it (warnings and worse)."""
    complaints = io.StringIO()
    settings = {
        "report_level": 2,
        "halt_level": 5,
        "warning_stream": complaints,
        # Lexing would need Pygments; the text of a block is the same without.
        "syntax_highlight": "none",
    }
    tree = publish_doctree(
        path.read_text("utf-8"), source_path=str(path), settings_overrides=settings
    )
    return tree, complaints.getvalue()


def blocks(tree: nodes.document) -> list[Block]:
    """All code blocks, in order; also those of ``::`` and of doctest."""
    return list(_blocks(tree))


def _blocks(tree: nodes.document) -> Iterator[Block]:
    for node in tree.findall(
        lambda node: isinstance(node, (nodes.literal_block, nodes.doctest_block))
    ):
        languages = [word for word in node["classes"] if word != "code"]
        name = node["names"][0] if node["names"] else ""
        yield Block(name, " ".join(languages), node.astext(), _line(tree, name))


def _line(tree: nodes.document, name: str) -> int:
    """The line a block's text begins on: docutils does not say, its ``:name:`` does."""
    lines = Path(tree["source"]).read_text("utf-8").splitlines()
    options = [number for number, line in enumerate(lines, 1) if line.strip() == f":name: {name}"]
    return options[0] + 2 if options else 0


def tables(tree: nodes.document) -> dict[str, Table]:
    """The tables that have a name."""
    found = {}
    for node in tree.findall(nodes.table):
        if node["names"]:
            body = next(node.findall(nodes.tbody))
            rows = tuple(tuple(row.findall(nodes.entry)) for row in body.findall(nodes.row))
            found[node["names"][0]] = Table(node["names"][0], rows)
    return found
