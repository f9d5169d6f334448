"""What ``--help`` says: of each command a page to learn it from."""

from __future__ import annotations

import textwrap
from typing import Mapping

import attrs

from telephony.cli.environment import VARIABLES

WIDTH = 80

EXITS = {0: "done", 1: "refused or failed", 2: "wrong usage", 130: "interrupted"}

ABOUT = "Place and receive phone calls through the Agora SIP Call Manager."
STORY = """
    Without an account, begin with `telephony demo`. With one, set CM_HOST, AUTH_TOKEN and
    APPID, and let `telephony check` say whether they are right.

    On a terminal people are shown lines, and, with the extra `cli` installed, a table of calls
    that changes in place. Elsewhere, and with --json, each line is one JSON object. Secrets
    come from the environment: an argument can be read by every process on the machine.
"""

_ACCOUNT = ("CM_HOST", "AUTH_TOKEN", "APPID", "CLIENT_ID")


@attrs.frozen
class Page:
    """One command's page: what it is in a line, what it does, and how it is used."""

    summary: str
    text: str
    examples: Mapping[str, str]  #: command lines, and what each is for
    variables: tuple[str, ...] = ()
    exits: Mapping[int, str] = EXITS

    @property
    def description(self) -> str:
        return "\n\n".join([_sentence(self.summary), _paragraphs(self.text)])

    @property
    def epilog(self) -> str:
        parts = ["examples:\n" + _listed(self.examples, apart=True)]
        if self.variables:
            read = {name: VARIABLES[name] for name in self.variables}
            parts.append("environment:\n" + _listed(read))
        exits = {str(code): what for code, what in self.exits.items()}
        parts.append("exit codes:\n" + _listed(exits))
        return "\n\n".join(parts)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _paragraphs(text: str) -> str:
    """Paragraphs that may be indented and broken anyhow, filled."""
    blocks = textwrap.dedent(text).strip().split("\n\n")
    lines = (" ".join(block.split()) for block in blocks)
    return "\n\n".join(textwrap.fill(line, WIDTH, break_on_hyphens=False) for line in lines)


def _listed(rows: Mapping[str, str], *, apart: bool = False) -> str:
    """Two columns; or *apart*, what is on the right in a line of its own above."""
    if apart:
        return "\n".join(f"  # {what}\n  {name}" for name, what in rows.items())
    wide = max(map(len, rows)) + 4
    return "\n".join(
        textwrap.fill(
            what, WIDTH, initial_indent=f"  {name}".ljust(wide), subsequent_indent=" " * wide
        )
        for name, what in rows.items()
    )


def overview() -> tuple[str, str]:
    """What the page of ``telephony`` itself has above and below its options."""
    exits = {str(code): what for code, what in EXITS.items()}
    below = ["environment:\n" + _listed(VARIABLES), "exit codes:\n" + _listed(exits)]
    return f"{ABOUT}\n\n{_paragraphs(STORY)}", "\n\n".join(below)


PAGES: Mapping[str, Page] = {
    "demo": Page(
        "show calls on a sandbox, without an account",
        """
        Starts a Call Manager on this machine and plays a few seconds of phone calls on it: one
        is placed, digits go both ways, one comes in and is answered, one is rejected. Every
        event is shown as it comes, and it fails if one does not.

        Needs the extra `sandbox`: pip install "agora-telephony[sandbox]".
        """,
        {
            "telephony demo": "look at it",
            "telephony demo --json": "the same events as your program would read them",
        },
        ("NO_COLOR",),
    ),
    "check": Page(
        "try to register, and say which step fails",
        """
        Goes the way of every connection, step by step: the host's name (dns), its port (tcp), or
        the proxy before them (proxy), the certificate (tls), the WebSocket (upgrade), and the
        credentials (register). Names the first step that fails, and what to do about it. If all
        is well it prints how long a request takes there and back, and the session's id.

        With a DID it asks who gets its calls, too: it subscribes to it, and if no other client
        could be offered the call, asks the Call Manager as a gateway would, and rejects that
        call. If the credentials are refused it registers once or twice more, as somebody else, to
        find out which of them is wrong.

        Another client with the same CLIENT_ID is thrown out while it registers; leave the
        variable out if yours is at work.
        """,
        {
            "telephony check": "is everything set as it should be?",
            "telephony check --did +18005550100": "are calls to this number for this App ID?",
            "telephony check --timeout 3 --json": "for a monitor: one object a step",
        },
        (*_ACCOUNT, "DID", "NO_COLOR"),
        {**EXITS, 0: "all is well", 1: "a step failed: it is named"},
    ),
    "dial": Page(
        "place a call, and hang it up on Ctrl-C",
        """
        Places one call and shows each of its events until it ends. Ctrl-C hangs up; while it
        still rings, as soon as the Call Manager has told the call's id. SIGTERM is taken for
        Ctrl-C, and so is a terminal that is closed (SIGHUP), except under nohup.

        The RTC token for the channel is a secret: it is in RTC_TOKEN, as a trunk's URI is in SIP.
        """,
        {
            "telephony dial --to +18005551234 --from +15551234567": "call, and talk until Ctrl-C",
            "telephony dial --digits 12# --seconds 10": "TO_NUMBER; press 12#, hang up after 10 s",
            "telephony dial --ring 20 --channel support --uid 7": "give up after 20 s of ringing",
            "telephony dial --record incident.jsonl": "keep what was sent, to replay it",
        },
        (*_ACCOUNT, "TO_NUMBER", "FROM_NUMBER", "CHANNEL", "REGION", "RTC_TOKEN", "SIP",
         "NO_COLOR"),
        {**EXITS, 0: "the call was answered, and has ended", 1: "it was refused or not answered"},
    ),
    "listen": Page(
        "print every event, and accept or reject calls",
        """
        Registers, and shows every event of every call until Ctrl-C. Without an option calls are
        only watched, and left for other clients; with --accept they are answered into a channel,
        each with the next uid, and hung up when it ends; with --reject they are turned away.
        A lost connection is made again.
        """,
        {
            "telephony listen": "watch all calls of the App ID",
            "telephony listen --did +18005550100": "those to one number",
            "telephony listen --accept support --uid 200": "answer them, as 200, 201, ...",
            "telephony listen --reject closed --seconds 60": "turn callers away for a minute",
            "telephony listen --record incident.jsonl": "keep what was sent, to replay it",
        },
        (*_ACCOUNT, "DID", "RTC_TOKEN", "NO_COLOR"),
        {**EXITS, 0: "the seconds given are over", 1: "refused, or the connection lost for good"},
    ),
    "sandbox": Page(
        "run a Call Manager here, and print how to reach it",
        """
        Serves until Ctrl-C, and prints what a client needs as `export` lines for a shell, or as
        one object with --json. Every dial is answered, and dialling the printed DID comes back
        as an inbound call.

        With several App IDs the second one's variables end in _2, and so on. With --own-tokens
        each has a token of its own, made up and printed. A sandbox that other machines can reach
        has a token that was made up in any case.

        Needs the extra `sandbox`: pip install "agora-telephony[sandbox]".
        """,
        {
            "telephony sandbox": "one App ID, any number",
            "telephony sandbox --port 8080 --time-scale 10": "calls ten times as fast",
            "telephony sandbox --did +18005550100 --hold 5": "one DID; callers wait 5 s",
            "telephony sandbox --did shop=+18005550100 --did desk=+18005550101 --own-tokens":
                "two App IDs, each with a DID and a token",
        },
        (),
        {**EXITS, 0: "ended by Ctrl-C"},
    ),
    "replay": Page(
        "play a recording to a client, as it happened then",
        """
        Plays the Call Manager's side of a recording: what it said then, in that order, waiting
        for the client where the recorded one sent a command. The client is this command's own,
        does what the recorded one did, and has its events shown; or with --serve it is yours,
        which is told by the printed `export` lines where to connect, and does what your program
        does now. Where it does something else than the recording, that is said in words.

        A recording is made with --record of `dial` and `listen`, or in a program with
        hooks=telephony.testing.Recorder(FILE). There is no token or password in it.

        Needs the extra `sandbox`: pip install "agora-telephony[sandbox]".
        """,
        {
            "telephony replay incident.jsonl": "look at what happened",
            "telephony replay incident.jsonl --speed 1": "at the pace it happened",
            "telephony replay incident.jsonl --serve --port 8080": "play it to your program",
        },
        ("NO_COLOR",),
        {**EXITS, 0: "played to its end", 1: "the client did otherwise, or no recording"},
    ),
    "completion": Page(
        "print a script that completes this command in a shell",
        """
        Prints a script for bash or zsh. Needs the extra `cli`:
        pip install "agora-telephony[cli]".
        """,
        {
            "telephony completion bash > ~/.telephony.bash":
                "for bash, with `. ~/.telephony.bash` in ~/.bashrc",
            "telephony completion zsh > ~/.zfunc/_telephony":
                "for zsh, with that folder in $fpath before compinit",
        },
    ),
}
