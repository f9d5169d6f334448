"""Who is at the other end of a sandbox's calls: the page plays them."""

import random

#: What becomes of a dial, in the page's words, and how the sandbox is told.
OUTCOMES = {
    "me": ("I pick up, on this page", {"ring": 3600}),
    "answer": ("Picks up after 2 seconds", {"ring": 2}),
    "busy": ("Is busy", {"outcome": "busy", "ring": 2}),
    "invalid": ("Does not exist", {"outcome": "invalid"}),
    "no_gateway": ("No gateway is free", {"outcome": "no_gateway"}),
}


def script(sandbox, number, outcome):
    """Let the next dial of *number* go so."""
    # The dial returns at once, so that a call can be hung up while it rings.
    sandbox.script_dial(to=number, respond="early", **OUTCOMES[outcome][1])


def somebody():
    """A number that is nobody's."""
    return f"+1206555{random.randint(100, 199):04d}"
