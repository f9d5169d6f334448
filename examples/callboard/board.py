"""The board: each call as the page shows it, and the browsers that are told of every change.

Two kinds of threads come here: the library's, with events, and the web server's, with what
somebody pressed. What they change is changed under one lock, and put into one queue a browser
under the same lock, so that all browsers see the same things in the same order.
"""

import json
import logging
import queue
import secrets
import threading
import time

from telephony import (
    CallEvent,
    CallHangup,
    CallIncoming,
    CallOrphaned,
    CallRinging,
    Connected,
    Disconnected,
    DtmfReceived,
    Gap,
    TelephonyError,
)

log = logging.getLogger("callboard")

#: States of the library's calls in which somebody talks.
UP = ("answered", "bridged", "unbridged")
#: And some more, of calls that end without an event.
FAILED, MISSED, REJECTED = "failed", "missed", "rejected"
OVER = ("hangup", FAILED, MISSED, REJECTED)

#: So many ended calls stay on the board.
ENDED_SHOWN = 20
#: So many changes may wait for a browser; one that is slower has to come again.
CHANGES_WAITING = 200
#: Keys of dials that are remembered.
KEYS_KEPT = 10_000
#: An incoming call is held for no longer than that, in seconds.
LONGEST_HOLD = 30
#: How often to look whether a call has gone without a word, in seconds.
LOOK_EVERY = 1.0


class Refusal(Exception):
    """What the board itself says no to; the text is for the page."""


class Row:
    """One call on the board. Changed under the board's lock only."""

    def __init__(self, direction, number, ours):
        self.id = secrets.token_hex(6)
        self.call = None  # the library's handle, once there is one
        self.uid = ""  # in the channel; every call of this board has one of its own
        self.direction = direction
        self.number = number
        self.ours = ours
        self.state = "dialling"
        self.rang = False
        self.channel = ""
        self.heard = ""  # keys pressed at the far end
        self.sent = ""  # and by us
        self.note = ""  # what else there is to say
        self.cause = ""
        self.billsec = None
        self.began = time.time()
        self.answered = None
        self.ended = None

    @property
    def over(self):
        return self.state in OVER

    def actions(self):
        """What can be done with the call now; the page has a button for each."""
        if self.state == "incoming":
            return ["answer", "reject"]
        if self.state in UP:
            return ["digits", "move", "transfer", "hang-up"]
        if not self.over and self.call is not None and self.call.call_id:
            return ["hang-up"]  # it rings, or is about to
        return []

    def far_actions(self):
        """What whoever is at the other end of a sandbox's call can do."""
        if self.state in UP:
            return ["far-digits", "far-hang-up"]
        if self.state == "incoming":
            return ["far-hang-up"]
        if self.state == "ringing":
            return ["pick-up", "far-hang-up"]
        return []

    def shown(self):
        """The call as JSON for the page."""
        return {
            "id": self.id,
            "direction": self.direction,
            "number": self.number,
            "ours": self.ours,
            "state": self.state,
            "over": self.over,
            "stale": self.call is not None and self.call.stale and not self.over,
            "channel": self.channel,
            "heard": self.heard,
            "sent": self.sent,
            "note": self.note,
            "cause": self.cause,
            "billsec": self.billsec,
            "began": self.began,
            "answered": self.answered,
            "ended": self.ended,
            "actions": self.actions(),
            "far": self.far_actions(),
        }


class Browser:
    """One open page: the changes that wait for it."""

    def __init__(self):
        self._changes = queue.Queue(CHANGES_WAITING)
        self.gone = threading.Event()

    def put(self, change):
        """Give it a change; whether it could take it."""
        try:
            self._changes.put_nowait(change)
        except queue.Full:
            self.gone.set()
        return not self.gone.is_set()

    def next(self, timeout):
        """The next change, or None when there was none for *timeout* seconds, or it has ended."""
        try:
            return self._changes.get(timeout=timeout)
        except queue.Empty:
            return None

    def end(self):
        """Let it have no more."""
        self.gone.set()
        self.put(None)  # wakes it, if it waits


class Board:
    """All calls and all browsers.

    ``on`` is that of a client (or of the Flask extension), ``sandbox`` says whether the page is to
    play the far end too.
    """

    def __init__(self, on, *, sandbox):
        #: A board that is started again is another one: see `dial`.
        self.run = secrets.token_hex(6)
        self.sandbox = sandbox
        self._connection = "connecting"
        self._version = 0
        self._rows = {}  # by id, oldest first
        self._dials = {}  # the key of each dial -> its row's id and what was asked for
        self._browsers = set()
        self._lock = threading.RLock()  # guards all of the above, and the rows
        self._closed = threading.Event()
        self._looking = threading.Thread(target=self._look, name="callboard", daemon=True)
        self._looking.start()
        on(CallEvent)(self._hear)
        on(CallOrphaned)(self._turned_up)
        for kind in (Connected, Disconnected, Gap):
            on(kind)(self._connection_changed)

    def close(self):
        """Let every browser go."""
        self._closed.set()
        with self._lock:
            for browser in self._browsers:
                browser.end()
            self._browsers.clear()
        self._looking.join()

    # --- what browsers see -----------------------------------------------------------------

    def open(self):
        """A new browser; the first thing waiting for it is all there is."""
        browser = Browser()
        with self._lock:
            browser.put(("board", self._version, self._all()))
            if self._closed.is_set():
                browser.end()
            else:
                self._browsers.add(browser)
        return browser

    def leave(self, browser):
        """Forget a browser."""
        with self._lock:
            self._browsers.discard(browser)

    def rows(self):
        """Every call, as the page gets it."""
        with self._lock:
            return [row.shown() for row in self._rows.values()]

    def _all(self):
        return {
            "run": self.run,
            "now": time.time(),
            "connection": self._connection,
            "sandbox": self.sandbox,
            "calls": [row.shown() for row in self._rows.values()],
        }

    def _tell(self, kind, data):
        self._version += 1
        change = (kind, self._version, data)
        for browser in list(self._browsers):
            if not browser.put(change):
                log.info("a browser was too slow; it will come again")
                self._browsers.discard(browser)

    def _changed(self, row):
        self._tell("call", row.shown())

    # --- what the library tells -------------------------------------------------------------

    def _hear(self, event):
        """Any event of a call. Those of one call come one at a time, in order."""
        if event.call is None:
            return None  # of a version to come, and of no call
        with self._lock:
            row = self._row_of(event.call)
            if row is None:
                row = self._add(_row_from(event.info))
            row.call = event.call
            if row.over and not isinstance(event, CallHangup):
                return None
            if isinstance(event, DtmfReceived) and not event.echo:
                row.heard += event.digits
            row.rang = row.rang or isinstance(event, CallRinging)
            self._take(row, event.info)
            self._changed(row)
        # Keep a call that comes in: somebody decides later.
        return isinstance(event, CallIncoming)

    def _take(self, row, info):
        """Show what is known of the call now."""
        row.state = info.state.value
        if row.state == "ringing" and not row.rang:
            row.state = "dialling"  # the library's word for both is one
        row.channel = info.channel if row.state == "bridged" else ""
        if row.state in UP and row.answered is None:
            row.answered = time.time()
        if row.over:
            row.ended = row.ended or time.time()
            row.cause = info.hangup_cause or row.cause
            row.billsec = info.billsec

    def _turned_up(self, event):
        with self._lock:
            row = self._row_of(event.call)
            if row is not None:
                row.note = "It did ring, later than could be waited for, and was hung up."
                self._changed(row)

    def _connection_changed(self, event):
        with self._lock:
            if not isinstance(event, Gap):
                self._connection = (
                    "connected" if isinstance(event, Connected) else "reconnecting"
                )
                self._tell("connection", self._connection)
                return
            for row in self._rows.values():
                if row.call in event.stale_calls:
                    self._changed(row)

    def _row_of(self, call):
        """The row of a call; that of a dial which has not returned is known by its uid."""
        for row in self._rows.values():
            if row.call is call or (row.call is None and row.uid and row.uid == call.uid):
                return row
        return None

    def _look(self):
        """Mind calls that end without an event: nobody took them, or they went in an outage."""
        while not self._closed.wait(LOOK_EVERY):
            with self._lock:
                for row in list(self._rows.values()):
                    if row.over or row.call is None:
                        continue
                    held = row.state == "incoming"
                    if held and time.time() - row.began > LONGEST_HOLD:
                        self._end(row, MISSED, "Nobody answered here in time.")
                    elif not row.call.active and row.call.state.value != "hangup":
                        self._end(row, MISSED, "Nothing more was heard of it.")

    def _add(self, row):
        self._rows[row.id] = row
        ended = sorted((each for each in self._rows.values() if each.over), key=_end_of)
        for old in ended[:-ENDED_SHOWN]:
            del self._rows[old.id]
        return row

    def _end(self, row, state, note):
        if not row.over:
            row.state, row.note, row.ended, row.channel = state, note, time.time(), ""
            self._changed(row)

    # --- what somebody pressed ---------------------------------------------------------------

    def dial(self, key, to, ours, place):
        """Show a new call, and have it placed on a thread of its own; returns its row's id.

        *key* is made by the page, once for each time somebody asks for a call, and begins with
        ``run``. However often it comes it is one call: *place*, which blocks until the far end
        answers, is called once, with the uid to use. A key of an earlier run is refused, for
        nobody knows what became of that call.
        """
        if not isinstance(key, str) or not key.startswith(self.run + "-") or len(key) > 100:
            raise Refusal("The board was started anew. Look at the calls, then try again.")
        with self._lock:
            if key in self._dials:
                row_id, asked = self._dials[key]
                if asked != to:
                    raise Refusal("That was asked for already, with another number.")
                return row_id
            row = Row("outbound", to, ours)
            row.uid = str(1 + secrets.randbelow(2**31 - 1))
            self._dials[key] = row.id, to
            if len(self._dials) > KEYS_KEPT:
                del self._dials[next(iter(self._dials))]
            self._add(row)
            self._changed(row)
        threading.Thread(target=self._place, args=(row, place), daemon=True).start()
        return row.id

    def _place(self, row, place):
        try:
            call = place(row.uid)
        except TelephonyError as error:  # refused, or nobody knows: its text says which
            with self._lock:
                self._end(row, FAILED, str(error))
            return
        with self._lock:
            row.call = call
            if not row.over:
                self._take(row, call.info)
            self._changed(row)

    def act(self, row_id, action, command):
        """Carry out *command*, a function of the call, if it fits the call's state.

        Raises `Refusal`, or what the library raises.
        """
        with self._lock:
            row = self._rows.get(row_id)
            if row is None:
                raise Refusal("That call is no longer on the board.")
            if action not in row.actions() + row.far_actions():
                raise Refusal(f"The call is {row.state}: too late, or too early, for that.")
        command(row.call)  # it blocks: not under the lock
        return row

    def note(self, row, text="", sent=""):
        """Add to what is shown of a call."""
        with self._lock:
            row.note = text or row.note
            row.sent += sent
            self._changed(row)

    def end(self, row, state, text):
        """A call is over, of which no event tells."""
        with self._lock:
            self._end(row, state, text)


def _row_from(info):
    """The row of a call that somebody else began."""
    ours, theirs = (info.to, info.from_) if info.direction == "inbound" else (info.from_, info.to)
    return Row(info.direction or "inbound", theirs, ours)


def _end_of(row):
    return row.ended


def as_event(kind, version, data):
    """One server-sent event."""
    return f"id: {version}\nevent: {kind}\ndata: {json.dumps(data)}\n\n"
