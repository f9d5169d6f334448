"""The documents as docutils reads them: their code blocks and their tables."""

from __future__ import annotations

import contextlib
import functools
import io
from collections import defaultdict
from pathlib import Path
from typing import Any, Iterator
from unittest import mock

import attrs
from docutils import nodes
from docutils.core import publish_doctree
from docutils.parsers.rst import Directive, directives, roles
from docutils.parsers.rst.directives.body import CodeBlock

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.rst"
DOCS = ROOT / "docs"
CHANGELOG = DOCS / "changelog.rst"
PROMISES = DOCS / "promises.rst"
PERFORMANCE = DOCS / "performance.rst"


def pages() -> list[Path]:
    """README.rst, and the pages of ``docs/``; what is built or hidden is none."""
    found = [path.relative_to(DOCS) for path in sorted(DOCS.rglob("*.rst"))]
    written = [path for path in found if not any(part[0] in "._" for part in path.parts)]
    return [README, *(DOCS / path for path in written)]


@attrs.frozen
class Block:
    """One code block of a page.

    ``name`` is its ``:name:``, ``language`` its language (``""``: none given), ``caption`` its
    ``:caption:`` (the file it is), ``line`` the page's line its text begins on.
    """

    page: Path
    name: str
    language: str
    caption: str
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


@functools.lru_cache(maxsize=None)
def blocks(page: Path) -> tuple[Block, ...]:
    """All code blocks of a page, in order; also those of ``::`` and of doctest.

    What it includes from another page is that page's.
    """
    with sphinx():
        tree, _ = read(page)
    return tuple(_blocks(tree, page))


def _blocks(tree: nodes.document, page: Path) -> Iterator[Block]:
    others = set(pages()) - {page}
    for node in tree.findall(
        lambda node: isinstance(node, (nodes.literal_block, nodes.doctest_block))
    ):
        if Path(node.source or page).resolve() in others:
            continue
        yield Block(
            page=page,
            name=node["names"][0] if node["names"] else "",
            language=" ".join(word for word in node["classes"] if word != "code"),
            caption=node.get("caption", ""),
            text=node.astext(),
            line=node.line or 0,
        )


def tables(tree: nodes.document) -> dict[str, Table]:
    """The tables that have a name."""
    found = {}
    for node in tree.findall(nodes.table):
        if node["names"]:
            body = next(node.findall(nodes.tbody))
            rows = tuple(tuple(row.findall(nodes.entry)) for row in body.findall(nodes.row))
            found[node["names"][0]] = Table(node["names"][0], rows)
    return found


# --- what Sphinx knows and docutils does not -------------------------------------------------


def _any_option(**known: Any) -> dict[str, Any]:
    return defaultdict(lambda: directives.unchanged, known or {"name": directives.unchanged})


class _CodeBlock(CodeBlock):
    """A code block with any option that Sphinx's has; it knows where it stands."""

    option_spec = _any_option(**CodeBlock.option_spec)

    def run(self) -> list[nodes.Node]:
        made = super().run()
        made[0].source, _ = self.state_machine.get_source_and_line(self.lineno)
        _, made[0].line = self.state_machine.get_source_and_line(self.content_offset + 1)
        made[0]["caption"] = self.options.get("caption", "")
        return made


class _StandIn(Directive):
    """Any directive of Sphinx's: what it holds is read as the page's own text."""

    optional_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec = _any_option()

    def run(self) -> list[nodes.Node]:
        node = nodes.container()
        if self.name not in ("toctree", "graphviz"):  # their content is no text
            self.state.nested_parse(self.content, self.content_offset, node)
        return [node]


def _role(name: str, rawtext: str, text: str, *_: Any, **__: Any) -> tuple[list[Any], list[Any]]:
    return [nodes.inline(rawtext, text)], []


@contextlib.contextmanager
def sphinx() -> Iterator[None]:
    """Inside, docutils takes whatever directive or role it does not know for one of Sphinx's."""
    directive_of, role_of = directives.directive, roles.role

    def directive(name: str, *where: Any) -> Any:
        if name in ("code", "code-block", "sourcecode"):
            return _CodeBlock, []
        found, messages = directive_of(name, *where)
        return found or _StandIn, messages

    def role(name: str, *where: Any) -> Any:
        found, messages = role_of(name, *where)
        return found or _role, messages

    with mock.patch.object(directives, "directive", directive):
        with mock.patch.object(roles, "role", role):
            yield
