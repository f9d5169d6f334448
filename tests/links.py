"""Links within built pages that lead nowhere: ``python -m tests.links docs/_build/html``.

Sphinx knows its own references; this looks at what came of them, of the theme and of the included
parts: every file and every ``#place`` that a page links to is there. What is elsewhere on the
network is left alone.
"""

from __future__ import annotations

import argparse
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """What one page links to, and the places in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("href", "src", "data") and value is not None:
                self.links.append(value)
            elif name in ("id", "name") and value:
                self.places.add(value)


def broken(root: Path) -> list[str]:
    """``page: link`` for each that leads nowhere."""
    pages = {path: Page(path.read_text("utf-8")) for path in sorted(root.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            place = unquote(parts.fragment)
            if not there.is_file() or (
                place and there in pages and place not in pages[there].places
            ):
                found.append(f"{path.relative_to(root)}: {link}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser("tests.links", description="Find links that lead nowhere.")
    parser.add_argument("folder", type=Path, help="where the pages were built")
    folder = parser.parse_args().folder.resolve()
    if not (folder / "index.html").is_file():
        parser.error(f"no pages were built in {folder}")
    found = broken(folder)
    print("\n".join(found) or "every link within the pages leads somewhere")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
