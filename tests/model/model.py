"""What a client must know and say, told frame by frame: a second reading of the protocol.

It hears what went over the wire, in order, and holds what `Client` has to agree with: the calls
and all that can be seen of them, the events to be told, the commands that the library sends by
itself. It shares no code with the library.
"""

from __future__ import annotations

from tests.model.one_call import (
    CLOSING,
    GONE,
    KNOWN,
    LOST,
    TRACKED,
    UP,
    Frame,
    OneCall,
    Told,
)

# Seconds that a call offered to us, or hung up by us, is kept at most; that a lost call, or the
# id of one that is over, is remembered; that a call of which nothing is heard is kept.
HELD, REMEMBERED, STALE = 60.0, 600.0, 3600.0

NOT_FOUND = "callid not found"
Route = tuple[str, str, str]


class Asked:
    """A command that the CM got and has not answered."""

    def __init__(self, frame: Frame, call: OneCall | None, ours: bool) -> None:
        self.action = frame["action"]
        self.frame = frame
        self.call = call
        self.ours = ours  # else the library sent it by itself
        self.until = 0.0  # given up: when an answer counts no more


class Model:
    """One client of one App ID, or of several (``app_id`` is then empty)."""

    def __init__(self, app_id: str, *, keep_orphans: bool) -> None:
        self.app_id = app_id
        self.keep_orphans = keep_orphans
        self.connected = False
        self.refused = False  # the CM would not have us back
        self.numbers: list[str] = []
        self.calls: list[OneCall] = []
        self.asked: dict[str, Asked] = {}
        self.given_up: dict[str, Asked] = {}
        self.answers: dict[str, str] = {}  # request id: how the command ended
        self.due: list[tuple[str, str, str]] = []  # commands to be sent, and who is to send them
        self.own_due: list[tuple[str, str, str]] = []
        self.told: dict[OneCall, list[Told]] = {}  # since they were last looked at
        self.client_told: list[str] = []
        self.now = 0.0
        self._over: dict[str, float] = {}  # ids that nothing is told of, and until when
        self._last_words: dict[Route, Frame] = {}
        self._refused: set[tuple[str, str]] = set()  # where dials were refused
        self._suspects: list[OneCall] = []
        self.by_itself = 0  # commands the library has had to send, so far
        self._was_connected = False

    # --- looking -------------------------------------------------------------------------

    def tracked(self) -> list[OneCall]:
        return [call for call in self.calls if call.place == TRACKED]

    def _lost(self) -> list[OneCall]:
        return [call for call in self.calls if call.place == LOST]

    def _by_id(self, call_id: str) -> OneCall | None:
        """The call with this id, if anything can still be heard of it."""
        for call in self.calls:
            if call.call_id == call_id and call_id and call.place != GONE:
                return call
        return None

    def key(self, action: str, call_id: str) -> tuple[str, str, str]:
        """How a command about a call must look: what it does, to which, for which App ID."""
        call = self._by_id(call_id)
        known = call.app_id if call is not None and call.place == TRACKED else ""
        return action, call_id, known or self.app_id

    # --- the connection ------------------------------------------------------------------

    def registered(self) -> None:
        """The CM took us in (again)."""
        self.connected, self.refused = True, False
        self._end_the_known()
        self.client_told.append("connected")
        if self._was_connected:
            stale = [call.call_id for call in self.tracked() if call.stale]
            self.client_told.append(f"gap {sorted(stale)}")
        self._was_connected = True

    def lost(self) -> None:
        """The connection is gone, and with it all answers."""
        self.connected = False
        for request_id, asked in self.asked.items():
            if asked.action == "outbound" and asked.call is not None:
                self._lose(asked.call)
            self._maybe_joined(asked)
            if asked.ours:
                self.answers[request_id] = "lost"
            else:
                self.client_told.append("error")
        self.asked.clear()
        self.given_up.clear()
        for call in self.tracked():
            if not call.stale:
                call.until = min(self.now + STALE, call.held_until or self.now + STALE)
        for call in (*self.tracked(), *self._lost()):
            call.stale = True  # it may end unheard
        self.client_told.append("disconnected")

    def turned_away(self) -> None:
        """The CM refused to register us again: we stop trying."""
        self.refused = True
        self.client_told += ["disconnected", "error"]

    def time_passes(self, seconds: float) -> None:
        """So long nothing is heard."""
        self.now += seconds
        for call in self.calls:
            call.echoes = ""  # by now they would have come
            if call.place != GONE and call.until is not None and call.until <= self.now:
                self._forget(call)
        self._over = {name: until for name, until in self._over.items() if until > self.now}
        self.given_up = {
            name: asked for name, asked in self.given_up.items() if asked.until > self.now
        }

    # --- commands ------------------------------------------------------------------------

    def sent(self, frame: Frame) -> str:
        """The client sent a command; returns its request id."""
        action, request_id = frame["action"], frame["request_id"]
        call_id = frame.get("callid", "")
        about = frame["uid"] if action == "outbound" else call_id
        key = (action, about, frame.get("appid", ""))
        ours = key in self.due
        due = self.due if ours else self.own_due
        assert key in due, f"nobody asked for {key}; due: {self.due} {self.own_due}"
        due.remove(key)
        assert request_id not in self.asked, f"{request_id} was sent before"
        call = self._by_id(call_id)
        if call is not None and call.place != TRACKED and ours:
            call = None
        if action == "outbound":
            call = self._new(OneCall("outbound", "ringing"))
            call.from_, call.to = frame["from"], frame["to"]
            call.channel, call.uid = frame["channel"], frame["uid"]
            call.app_id = frame["appid"]
            self._file(call)
        elif action == "send_dtmf" and call is not None:
            call.echoes += frame["digits"]
        self.asked[request_id] = Asked(frame, call, ours)
        return str(request_id)

    def gives_up(self, request_id: str) -> None:
        """Whoever waited for the answer waits no more."""
        asked = self.given_up[request_id] = self.asked.pop(request_id)
        asked.until = self.now + REMEMBERED
        self.answers[request_id] = "timeout"
        self._maybe_joined(asked)
        if asked.action == "outbound" and asked.call is not None:
            self._lose(asked.call)
            self._end_the_known()

    def answered(self, frame: Frame) -> None:
        """The CM answered a command."""
        request_id = frame["request_id"]
        reason = _refusal(frame)
        asked = self.asked.pop(request_id, None)
        if asked is None:
            asked = self.given_up.pop(request_id, None)
            if asked is not None:
                self._answered_late(asked, frame, reason)
            return
        not_found = reason == NOT_FOUND
        if asked.action == "outbound":
            assert asked.call is not None
            if reason is None:
                asked.call = self._identify(asked.call, frame["data"]["callid"])
            else:
                self._refused.update(asked.call.routes)
                if asked.call.place != GONE:
                    self._forget(asked.call, ended=True)
            self._settle_suspects()
        else:
            self._done(asked, reason)
        if asked.ours:
            dial = asked.action == "outbound" and reason is not None
            self.answers[request_id] = (
                "taken" if reason is None
                else "dial failed" if dial
                else "not found" if not_found
                else "refused"
            )  # fmt: skip
        elif reason is not None and not not_found:
            self.client_told.append("error")
        self._end_the_known()

    def _answered_late(self, asked: Asked, frame: Frame, reason: str | None) -> None:
        if asked.action != "outbound":
            self._done(asked, reason)
        elif asked.call is not None and asked.call.place == LOST:
            if reason is not None:
                self._forget(asked.call, ended=True)
            else:
                self._identify(asked.call, frame["data"]["callid"])
                self._end_the_known()

    def _done(self, asked: Asked, reason: str | None) -> None:
        """What a command's being taken, or refused, says about its call."""
        call, action = asked.call, asked.action
        not_found = reason == NOT_FOUND
        if action == "subscribe":
            if reason is None:
                self.numbers = asked.frame["numbers"]
        elif action in ("accept", "bridge", "rebridge"):
            if reason is None:
                self._joined(asked)
            elif action == "accept" and not_found:
                self._decline(call)
        elif action == "reject":
            if reason is None:
                self._close(call)
            elif not_found:
                self._decline(call)
        elif action in ("endcall", "hangup"):
            if reason is None or not_found:
                self._close(call)
        elif action == "send_dtmf" and reason is not None and call is not None:
            head, _, tail = call.echoes.rpartition(asked.frame["digits"])
            call.echoes = head + tail
        if not_found and call is not None and call.stale and action not in ("accept", "reject"):
            self._close(call)  # it ended while we were away

    def _joined(self, asked: Asked) -> None:
        """The CM moves the audio of a call to where we said: the call is ours."""
        frame = asked.frame
        call_id = frame["callid"]
        call = self._by_id(call_id) or asked.call
        if call is None:
            if asked.action != "accept" or call_id in self._over_for_good():
                return
            call = self._new(OneCall("inbound", "incoming"))
            call.call_id = call_id
        if call.state == "hangup":
            return
        self._over.pop(call_id, None)
        call.place, call.accepted, call.stale = TRACKED, True, False
        call.held_until = call.until = None
        call.channel, call.uid = frame["channel"], frame["uid"]
        call.app_id = frame.get("appid", "") or call.app_id
        self._file(call)

    def _maybe_joined(self, asked: Asked) -> None:
        """Nobody knows whether the CM moved the call to where we said: it may be ours by now."""
        call = asked.call
        if asked.action in ("accept", "bridge", "rebridge") and call and call.place != GONE:
            self._file(call, asked.frame["channel"], asked.frame["uid"])
            if call.place == TRACKED and call.held_until is not None:
                call.held_until, call.until = None, self.now + STALE

    def _over_for_good(self) -> set[str]:
        return {call.call_id for call in self.calls if call.state == "hangup"} & set(self._over)

    def declined(self, call_id: str) -> None:
        """No callback wanted this call."""
        self._decline(self._by_id(call_id))

    def _decline(self, call: OneCall | None) -> None:
        if call is not None and call.place == TRACKED and call.held_until is not None:
            self._forget(call)

    def _close(self, call: OneCall | None) -> None:
        """The CM took our hangup: over for our users, its call_hangup is to come."""
        if call is not None and call.place in (TRACKED, LOST):
            call.place, call.state, call.stale = CLOSING, "hangup", False
            call.until = self.now + HELD

    # --- dials that gave up --------------------------------------------------------------

    def _lose(self, call: OneCall) -> None:
        if call.place == TRACKED:
            call.place, call.until = LOST, self.now + REMEMBERED

    def _end_the_known(self) -> None:
        """A lost call whose id is known needs no more looking for."""
        if self.connected:
            for call in self._lost():
                if call.call_id:
                    self._turns_up(call)

    def _turns_up(self, call: OneCall, *, ended: bool = False) -> None:
        self._tell(call, ("call_orphaned", call.call_id))
        if self.keep_orphans:
            call.place, call.until = TRACKED, self.now + STALE if call.stale else None
        else:
            app_id = call.app_id or self.app_id
            self._close(call)
            if not ended:
                self.own_due.append(("endcall", call.call_id, app_id))
                self.by_itself += 1

    def _identify(self, call: OneCall, call_id: str) -> OneCall:
        """A dial's answer says which call it made; returns the one that goes on."""
        if call.call_id == call_id:
            return call
        known = [c for c in self.calls if c.call_id == call_id]
        others = [c for c in known if c.place != GONE or call_id in self._over]
        if not others:
            call.call_id = call_id
            if call.place == GONE:
                self._over[call_id] = self.now + REMEMBERED
            return call
        # Its events had come first, and could not be told from another dial's.
        other = others[-1]
        if other in self._suspects:
            self._suspects.remove(other)
        place, until = call.place, call.until
        self._forget(call)
        for name in ("direction", "from_", "to", "channel", "uid", "app_id"):
            setattr(other, name, getattr(other, name) or getattr(call, name))
        if other.place != GONE:
            self._file(other)
        if place == LOST and other.place == TRACKED:
            other.place, other.until = LOST, until
        return other

    def _settle_suspects(self) -> None:
        """A dial has ended: what its route still fits may now be one lost call only."""
        for suspect in list(self._suspects):
            nameless = self._nameless((suspect.app_id, suspect.channel, suspect.uid))
            if not any(call.place == TRACKED for call in nameless):
                self._suspects.remove(suspect)
                if len(nameless) == 1:
                    self._identify(nameless[0], suspect.call_id)

    # --- events --------------------------------------------------------------------------

    def happened(self, frame: Frame) -> None:
        """The CM told of an event."""
        name, call_id = frame["event"], frame["callid"]
        call = self._by_id(call_id)
        if call is None and call_id in self._over:
            return
        own_id = call_id if call_id.count(":") < 2 else ""
        route = (frame["appid"], frame["channel"], frame["uid"])
        if call is None and name != "call_incoming":
            call = self._of_route(route, name, own_id, frame)
            if call is not None and own_id and not call.call_id:
                call.call_id = own_id
        if call is None:
            if not own_id and name == "call_hangup" and self._last_words.get(route) == frame:
                return
            if name not in KNOWN or not call_id:
                self.client_told.append(f"unknown {name}")
                return
            call = self._stranger(frame, name, call_id)
            if any(other.place == LOST for other in self._nameless(route)):
                self._suspects.append(call)
        if call.call_id == call_id and call_id:
            self._file(call, frame["channel"], frame["uid"])
        if call.place == LOST:
            if not call.call_id and name != "call_hangup":
                call.leg = call._after(name, frame) or call.leg
                return  # it is up, but there is no id yet to end it by
            self._turns_up(call, ended=name == "call_hangup")
        self._of_call(call, frame)

    def _of_route(self, route: Route, name: str, own_id: str, frame: Frame) -> OneCall | None:
        """The call that an event without a known id is about, if it can be only one."""
        here = self._on(route)
        by_place = {place: [c for c in here if c.place == place] for place in (
            TRACKED, CLOSING, LOST)}  # fmt: skip
        tracked, closing, lost = by_place.values()
        waiting = [call for call in tracked if not call.call_id]
        if own_id and name == "call_hangup" and route[1:] in self._refused:
            return None  # perhaps of the dial that was refused
        if own_id:  # a new id: of a call that has none yet
            groups = [waiting + [c for c in lost if not c.call_id], tracked, closing]
        elif name in ("call_initiated", "call_ringing"):  # of a call that is on its way
            silent = [c for c in tracked if c.can_be_next(name, frame)]
            nameless = [c for c in lost if not c.call_id]
            groups = [waiting, nameless + silent, tracked, closing, lost]
        elif name == "call_hangup":  # one that we hung up waits for just this
            groups = [closing, tracked, lost]
        else:
            groups = [tracked, closing, lost]
        fits = next((group for group in groups if group), [])
        if len(fits) != 1:
            return None  # never guessed
        call = fits[0]
        copy = name == "call_hangup" and not own_id and self._last_words.get(route) == frame
        # A copy of the last hangup there ends nothing that goes on; what is about to end, it may.
        if copy and call.place != CLOSING and call.leg != "unbridged":
            return None
        return call

    def _of_call(self, call: OneCall, frame: Frame) -> None:
        name = frame["event"]
        own = frame["callid"] == call.call_id
        new = call.happens(frame)
        if new and name == "call_incoming" and not call.accepted:
            call.held_until = call.until = self.now + HELD
        own = own or bool(new) and self._is_alone(call)
        if call.place == TRACKED and own and call.until is not None:
            call.stale = False  # whatever is surely of it shows that the CM knows it
            if call.leg in UP or name == "dtmf_received":
                call.held_until = None
            call.until = call.held_until
        if not new:
            return
        heard: tuple[object, ...] = ()
        if name == "dtmf_received":
            heard = (frame["digits"], call.hears(frame["digits"]))
        self._file(call)
        if name == "call_hangup":
            for channel, uid in call.routes:
                self._last_words[call.app_id, channel, uid] = frame
            self._forget(call, ended=True)
        self._tell(call, (name, *call.seen(), *heard))

    def _stranger(self, frame: Frame, name: str, call_id: str) -> OneCall:
        """A call that the CM knows and we did not."""
        state = "incoming" if frame["direction"] == "inbound" else "ringing"
        call = self._new(OneCall(frame["direction"], state))
        if name == "dtmf_received":
            call.state = call.leg = "answered"
        call.call_id = call_id
        return call

    # --- keeping them --------------------------------------------------------------------

    def _new(self, call: OneCall) -> OneCall:
        self.calls.append(call)
        return call

    def _file(self, call: OneCall, channel: str = "", uid: str = "") -> None:
        """A call can be found by every channel and uid that it has had, or may have had."""
        spot = (channel or call.channel, uid or call.uid)
        if spot[0] and spot[1] and spot not in call.routes:
            call.routes.append(spot)

    def _on(self, route: Route) -> list[OneCall]:
        app_id, *spot = route
        return [
            call
            for call in self.calls
            if call.place != GONE and tuple(spot) in call.routes and call.app_id in ("", app_id)
        ]

    def _is_alone(self, call: OneCall) -> bool:
        others = [other for other in self.calls if other.place != GONE and other is not call]
        return not any(set(other.routes) & set(call.routes) for other in others)

    def _nameless(self, route: Route) -> list[OneCall]:
        return [call for call in self._on(route) if not call.call_id]

    def _forget(self, call: OneCall, *, ended: bool = False) -> None:
        if ended:
            call.state = call.leg = "hangup"
        if call in self._suspects:
            self._suspects.remove(call)
        call.place, call.stale, call.held_until = GONE, False, None
        if call.call_id and call.call_id.count(":") < 2:
            self._over[call.call_id] = self.now + REMEMBERED

    def _tell(self, call: OneCall, told: Told) -> None:
        self.told.setdefault(call, []).append(told)


def _refusal(frame: Frame) -> str | None:
    """Why a command was refused, None if it was not: there are three ways to say so."""
    data, status = frame.get("data", {}), frame.get("status_code", 200)
    if "error" not in frame and data.get("success", True) and status < 400:
        return None
    reason = str(frame.get("error") or data.get("reason") or "")
    return NOT_FOUND if status == 404 or reason == NOT_FOUND else reason
