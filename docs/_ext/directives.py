"""Directives for what is generated from the code, anew in every build: it may have changed."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from _ext import diagrams
from tests import house

DIAGRAMS = {
    "outbound": lambda: diagrams.life("outbound"),
    "inbound": lambda: diagrams.life("inbound"),
    "storeys": diagrams.storeys,
}


class Diagram(SphinxDirective):
    """``.. diagram:: outbound`` with ``:alt:``: SVG in the page, so that its colours follow."""

    required_arguments = 1
    option_spec = {"alt": directives.unchanged_required}

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        name = self.arguments[0]
        if name not in DIAGRAMS or "alt" not in self.options:
            raise self.error(f"one of {', '.join(DIAGRAMS)}, and :alt: with what is to be seen")
        drawn = svg(DIAGRAMS[name]())
        alt = nodes.unescape(self.options["alt"]).replace('"', "&quot;")
        width = re.search(r'width="(\d+)pt"', drawn)
        assert width
        least = f"min-width: {0.7 * int(width[1]):.0f}pt"  # below that nobody can read it
        drawn = drawn.replace("<svg ", f'<svg role="img" aria-label="{alt}" style="{least}" ', 1)
        return [nodes.raw("", f'<div class="diagram">{drawn}</div>', format="html")]


def svg(source: str) -> str:
    """What ``dot`` draws, without its prologue, its tooltips and its colours."""
    if shutil.which("dot") is None:
        raise ExtensionError("the diagrams need Graphviz: apt-get install graphviz")
    drawn = subprocess.run(
        ["dot", "-Tsvg"], input=source, capture_output=True, text=True, check=True
    ).stdout
    drawn = drawn[drawn.index("<svg"):]
    drawn = re.sub(r"<title>.*?</title>\n?|<!--.*?-->\n?", "", drawn, flags=re.DOTALL)
    return re.sub(r' (fill|stroke)="(?!none|transparent)\w+"', r' \1="currentColor"', drawn)


class Transitions(SphinxDirective):
    """``.. transitions::``: the table that the diagrams are drawn from."""

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        lines = [".. list-table::", "   :header-rows: 1", ""]
        for first, *others in diagrams.table():
            lines += [f"   * - {first}", *(f"     - {word}" for word in others)]
        return self.parse_text_to_nodes("\n".join(lines))


class Help(SphinxDirective):
    """``.. telephony-help::``: what ``telephony --help`` prints, and a section for each command."""

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        text = told()
        made: list[nodes.Node] = [nodes.literal_block(text, text, language="none")]
        if not commands(text):
            raise self.error("telephony --help lists no commands, or in another form")
        for command in commands(text):
            section = nodes.section("", nodes.title(command, command), ids=[f"telephony-{command}"])
            text = told(command)
            section += nodes.literal_block(text, text, language="none")
            made.append(section)
        return made


def told(*command: str) -> str:
    """What ``telephony … --help`` prints."""
    return subprocess.run(
        [sys.executable, "-m", "telephony", *command, "--help"],
        env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def commands(text: str) -> list[str]:
    """The commands that it lists, in its order."""
    return re.findall(r"^    ([a-z]+)  +\S", text.partition("\n  COMMAND\n")[2], re.MULTILINE)


class Modules(SphinxDirective):
    """``.. modules:: runtime``: the modules of one storey or satellite, and what each is."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        listed = nodes.definition_list()
        for module, path in house.MODULES.items():
            if diagrams.storey(module) != self.arguments[0]:
                continue
            docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
            if not docstring:
                continue
            name = path.relative_to(house.ROOT).as_posix()
            source = StringList(docstring.partition("\n\n")[0].splitlines(), source=str(path))
            explained = nodes.definition()
            self.state.nested_parse(source, self.content_offset, explained)
            term = nodes.term("", "", nodes.literal(name, name))
            listed += nodes.definition_list_item("", term, explained)
        if not listed.children:
            raise self.error(f"no module is in {self.arguments[0]}")
        return [listed]


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("diagram", Diagram)
    app.add_directive("modules", Modules)
    app.add_directive("telephony-help", Help)
    app.add_directive("transitions", Transitions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
