"""What is made otherwise than Sphinx makes it: names of code blocks, tables on narrow screens."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform


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


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_transform(BlockNames)
    app.add_post_transform(Labels)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
