"""The diagrams as Graphviz source, drawn from the code: nothing here says what it knows better."""

from __future__ import annotations

import textwrap
from typing import Iterator, Mapping

from telephony.protocol.states import HANGUP, INCOMING, RINGING, TRANSITIONS, CallState
from tests import house

#: What begins a call of each direction, and the state it is in then.
WAYS: Mapping[str, tuple[str, CallState]] = {
    "outbound": ("client.dial(…)", RINGING),
    "inbound": ("call_incoming", INCOMING),
}
#: The events that usually follow, in their order.
USUAL = ("call_answered", "agora_bridge_start", "agora_bridge_end", "call_hangup")


def moves(start: CallState) -> Iterator[tuple[CallState, str, CallState]]:
    """Every transition of a call that began in *start*: state before, event, state after."""
    reached, ahead = {start}, [start]
    while ahead:
        before = ahead.pop(0)
        for event, after_of in TRANSITIONS.items():
            if before in after_of:
                after = after_of[before]
                yield before, event, after
                if after not in reached:
                    reached.add(after)
                    ahead.append(after)


def life(direction: str) -> str:
    """One call's life: heavy the usual way, dashed what else leads to the next state.

    In a state's box are the events that leave it as it is, and those that skip states.
    """
    begun, start = WAYS[direction]
    way, state = set(), start
    for event in USUAL:
        way.add((state, event))
        state = TRANSITIONS[event][state]
    order = list(CallState)
    boxes: dict[CallState, list[str]] = {}
    arrows: dict[tuple[CallState, CallState], list[str]] = {}
    for before, event, after in moves(start):
        inside = boxes.setdefault(before, [])
        if after is before:
            inside.append(event)
        elif (before, event) in way or abs(order.index(after) - order.index(before)) == 1:
            arrows.setdefault((before, after), []).append(event)
        else:
            inside.append(f"{event} → {after}")
    boxes[HANGUP] = []
    lines = [
        _head(direction),
        f'begin [label="{begun}", shape=plain, fontname="monospace", fontsize=12];',
        f"begin -> {start} [class=usual, weight=20];",
    ]
    for state, inside in boxes.items():
        lines.append(_box(state, state, sorted(inside, key=lambda row: "→" in row)))
    for (before, after), events in arrows.items():
        usually = any((before, event) in way for event in events)
        style = "class=usual, weight=20" if usually else "class=other, style=dashed"
        label = "".join(f"\N{NO-BREAK SPACE}{event}\\l" for event in events)
        lines.append(f'{before} -> {after} [label="{label}", {style}];')
    return "\n".join([*lines, "}"])


def table() -> list[list[str]]:
    """The table itself: a row for each event, with what becomes of the states at its top."""
    states = [state for state in CallState if state is not HANGUP]
    rows = [["event", *map(str, states)]]
    for event, after_of in TRANSITIONS.items():
        after = [str(after_of.get(state, "–")) for state in states]
        rows.append([event, *("stays" if a == s else a for a, s in zip(after, states))])
    return rows


def storeys() -> str:
    """The storeys, and what stands on them; an arrow that others lead along is not drawn."""
    boxes: dict[str, set[str]] = {}
    for module in house.MODULES:
        boxes.setdefault(storey(module), set()).add(module)
    uses = {
        name: {storey(other) for module in modules for other in house.own(module)} - {name}
        for name, modules in boxes.items()
    }
    lines = [_head("storeys")]
    for name, modules in boxes.items():
        inside = sorted(module.rpartition(".")[2] for module in modules)
        rows = textwrap.wrap(", ".join(word for word in inside if word != name), 34)
        lines.append(_box(name, name, rows))
    for name, below in uses.items():
        for other in sorted(below - set().union(*(_reached(uses, each) for each in below))):
            lines.append(f'"{name}" -> "{other}";')
    return "\n".join([*lines, "}"])


def storey(module: str) -> str:
    """The box a module is in: its storey (``middle`` for the unnamed one), or its satellite."""
    part = house.part(module)
    return part if part in house.SATELLITES or part in house.STOREYS else "middle"


def _reached(uses: Mapping[str, set[str]], name: str) -> set[str]:
    """What *name* stands on, by way of others."""
    found: set[str] = set()
    ahead = set(uses[name])
    while ahead:
        other = ahead.pop()
        found.add(other)
        ahead |= uses[other] - found
    return found


def _head(name: str) -> str:
    return "\n".join(
        [
            f"digraph {name} {{",
            "bgcolor=transparent; nodesep=0.3; ranksep=0.4; pad=0.05;",
            'node [shape=box, style=rounded, fontname="sans-serif", fontsize=14,'
            ' margin="0.12,0.06"];',
            'edge [fontname="monospace", fontsize=11, arrowsize=0.7];',
        ]
    )


def _box(name: str, title: str, rows: list[str]) -> str:
    """A node with a title and rows of small text below it."""
    below = "".join(
        f'<tr><td align="left"><font face="monospace" point-size="10">{row}</font></td></tr>'
        for row in rows
    )
    return (
        f'"{name}" [label=<<table border="0" cellborder="0" cellspacing="0" cellpadding="1">'
        f"<tr><td><b>{title}</b></td></tr>{below}</table>>];"
    )
