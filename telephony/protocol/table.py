"""Which calls there are, and which of them an event is for.

A call is known by its ``callid``, and before its dial was answered (or where the Call
Manager leaves the ``callid`` out) by its *route*, the composite ``appid:channel:uid``. A
route that fits more than one call decides nothing: the table never guesses. (Several adopted
dials that will all be hung up are as good as one.)
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Callable, Generic, NamedTuple, TypeVar, cast

import attrs

from telephony.protocol import events
from telephony.protocol.calls import (
    CLOSING,
    GONE,
    LIVE,
    ORPHAN,
    CallInfo,
    Place,
    TrackedCall,
    advance,
    evolved,
    is_complete,
    unheard_of,
)
from telephony.protocol.events import Event
from telephony.protocol.routes import Route, Routes, one_adopted
from telephony.protocol.states import (
    BRIDGED,
    HANGUP,
    INCOMING,
    TRANSITIONS,
    UNBRIDGED,
    UP,
    CallState,
)
from telephony.protocol.wire import Frame, number_of, text_of

if TYPE_CHECKING:
    from telephony.call import Call

#: An incoming call that is kept but never accepted goes after this many seconds.
INCOMING_SECONDS = 60.0
#: A call that we hung up waits this long for its ``call_hangup``.
CLOSING_SECONDS = 60.0
#: A call whose dial gave up, and the id of a call that ended, are remembered this long …
REMEMBERED_SECONDS = 600.0
#: … and at most so many of each.
REMEMBERED_MOST = 10_000

C = TypeVar("C", bound=TrackedCall)


@attrs.frozen
class _Tombstone(Generic[C]):
    until: float
    ended: bool  # else it was let go of, and may be up
    call: C | None  # kept where a dial's answer may still ask for it


class Move(NamedTuple):
    """A call got another state, became known by its id, or was let go of while it may be up.

    ``before`` is None for the second, ``after`` for the third. ``why`` is the event, the request
    or the circumstance that did it.
    """

    call_id: str
    before: CallState | None
    after: CallState | None
    why: str


@attrs.define
class Found(Generic[C]):
    """What one event led to."""

    events: list[Event] = attrs.Factory(list[Event])
    #: a call that turned up after its dial gave up, and is to be hung up now
    to_end: C | None = None


class CallTable(Generic[C]):
    """The calls of one client. Every method wants the session's lock held."""

    def __init__(
        self,
        make_call: Callable[[CallInfo], C],
        app_id: str,
        *,
        keep_orphans: bool = False,
        stale_timeout: float = 3600.0,
    ) -> None:
        self._make = make_call
        self._keep_orphans = keep_orphans
        self._stale_timeout = stale_timeout
        self._live: dict[C, None] = {}
        self._timed: dict[C, None] = {}  # those with a deadline
        self._orphans: OrderedDict[C, None] = OrderedDict()
        self._known_orphans: dict[C, None] = {}
        self._by_id: dict[str, C] = {}
        self._routes: Routes[C] = Routes(app_id)
        self._suspects: dict[C, None] = {}  # made by events that fitted an orphan and a dial
        # That nobody here dialled or took. A dict is half as large as an OrderedDict; the oldest is
        # found more slowly there, but only once there are too many.
        self._strangers: dict[C, None] = {}
        self._undialled = 0  # dials that are not answered yet
        self._ended: OrderedDict[str, _Tombstone[C]] = OrderedDict()
        self.moves: deque[Move] = deque(maxlen=REMEMBERED_MOST)  # to be logged, without the lock
        self.why = ""  # what is being taken in

    # --- looking ---------------------------------------------------------------------

    def live(self) -> list[C]:
        return list(self._live)

    @property
    def keeps_time(self) -> bool:
        """Whether some call is to go in time."""
        return bool(self._timed)

    def __len__(self) -> int:
        return len(self._live)

    def get(self, call_id: str) -> C | None:
        """The tracked call with this id."""
        call = self._by_id.get(call_id)
        return call if call is not None and call._place is LIVE else None

    # --- our own commands ------------------------------------------------------------

    def dial(self, info: CallInfo) -> C:
        """A call that is being dialled; its id comes later."""
        call = self._admit(self._make(info))
        self._undialled += 1
        return call

    def dialled(self, call: C, call_id: str, now: float) -> C:
        """The dial was answered with *call_id*; returns the call that has it.

        It is another one than *call* if events had made it before the answer came.
        """
        self._undialled -= 1
        call = self.identify(call, call_id, now)
        self._settle_suspects(now)
        return call

    def dial_failed(self, call: C, now: float) -> None:
        """The dial was refused, or never left."""
        self._undialled -= 1
        self.refused(call, now)
        self._settle_suspects(now)

    def give_up(self, call: C, now: float) -> None:
        """The dial stopped waiting: the call leaves, and is remembered until it turns up."""
        self._undialled -= 1
        self.orphan(call, now)

    def adopt(self, info: CallInfo, now: float) -> C:
        """Track a call of a client that is gone; one without an id is a dial that it gave up."""
        call_id = info.call_id
        known = self._by_id.get(call_id) if call_id else None
        if known is not None:
            return known
        if call_id in self._ended:
            return self._make(evolved(info, {"state": HANGUP, "active": False, "stale": False}))
        call = self._admit(self._make(evolved(info, {"stale": True, "active": True})), call_id)
        call._complete = is_complete(info)
        if not call_id:
            call._adopted = True
            self.orphan(call, now)
            return call
        deadline = now + self._stale_timeout
        if info.state is INCOMING:
            call._held_until = now + INCOMING_SECONDS
            deadline = min(deadline, call._held_until)
        else:
            call._accepted = True
        if info.state is BRIDGED:
            call._bridged_to = (info.channel, info.uid)
        self._set_place(call, LIVE, deadline)
        return call

    def refused(self, call: C, now: float) -> None:
        """The CM did not take the dial of *call*, whoever still waits for it."""
        self._routes.refused(call)
        self.end(call, now)

    def orphan(self, call: C, now: float) -> None:
        """Nobody holds *call*, which was dialled: it waits to turn up."""
        if call._place is not LIVE:
            return
        del self._live[call]
        self._set_place(call, ORPHAN, now + REMEMBERED_SECONDS)
        self._orphans[call] = None
        if len(self._orphans) > REMEMBERED_MOST:
            self._forget(next(iter(self._orphans)), now)

    def known_orphans(self) -> list[C]:
        """Those whose id an event has told: they can be ended."""
        return list(self._known_orphans)

    def turn_up(self, call: C, now: float) -> Event:
        """A call whose dial gave up is there after all: kept, or being closed from now on."""
        if self._keep_orphans:
            del self._orphans[call]
            self._live[call] = None
            deadline = now + self._stale_timeout if call.info.stale else None
            self._set_place(call, LIVE, deadline)
        else:
            self.close(call, now)
        return events.CallOrphaned(call=cast("Call", call))

    def joined(
        self, call: C | None, call_id: str, channel: str, uid: str, app_id: str | None
    ) -> C | None:
        """The CM took our accept, bridge or re-bridge into this channel.

        A call that we had let go of is tracked again.
        """
        call = self._by_id.get(call_id, call)
        if call is None or call.info.state is HANGUP:
            return None
        if call._place is GONE:
            self._ended.pop(call_id, None)
            self._admit(call, call_id)
        call._accepted = True
        call._held_until = None
        self._strangers.pop(call, None)
        self._set_place(call, LIVE, None)
        new: dict[str, Any] = {"channel": channel, "uid": uid, "app_id": app_id or call.info.app_id}
        self._change(call, active=True, stale=False, **new)
        self._routes.add(call)
        return call

    def maybe_joined(self, call: C, channel: str, uid: str, now: float) -> None:
        """An accept or bridge of *call* had no answer: it stays until an event tells more."""
        self._routes.add(call, channel, uid)
        if call._place is LIVE and call._offered:
            call._held_until = None
            self._strangers.pop(call, None)
            self._set_place(call, LIVE, now + self._stale_timeout)

    def accepted(self, call_id: str, channel: str, uid: str, app_id: str | None) -> C | None:
        """The CM took our accept of a call that we had not seen."""
        tombstone = self._ended.get(call_id)
        if call_id in self._by_id or (tombstone and tombstone.ended):
            return None
        info = CallInfo(state=INCOMING, direction="inbound")
        call = self._admit(self._make(info), call_id)
        return self.joined(call, call_id, channel, uid, app_id)

    def close(self, call: C, now: float) -> None:
        """The CM took our hangup or reject: over at once, its ``call_hangup`` comes later."""
        if call._place is GONE or call._place is CLOSING:
            return
        self._live.pop(call, None)
        self._orphans.pop(call, None)
        call._closed_at = now
        self._set_place(call, CLOSING, now + CLOSING_SECONDS)
        self._change(call, state=HANGUP, active=False, stale=False)

    def end(self, call: C, now: float) -> None:
        """The call is over, and no event will tell of it."""
        if call._place is not GONE:
            self._forget(call, now, state=HANGUP)

    def drop(self, call: C, now: float) -> None:
        """The call is not ours (any more); what becomes of it we do not know."""
        if call._place is not GONE:
            self._forget(call, now)

    def decline(self, call: C, now: float) -> None:
        """This incoming call is not for us; nothing if it was accepted meanwhile."""
        if call._place is LIVE and call._offered:
            self.why = "nobody wanted it"
            self.drop(call, now)

    # --- the passing of time -----------------------------------------------------------

    def mark_stale(self, now: float) -> None:
        """The connection is gone: from now on any live call may end unheard."""
        for call in self._live:
            if not call.info.stale:
                self._change(call, stale=True)
                deadline = now + self._stale_timeout
                self._set_place(call, LIVE, min(deadline, call._held_until or deadline))
        for call in self._orphans:
            self._change(call, stale=True)

    def stale(self) -> list[C]:
        """The live calls of which nothing was heard since the last outage."""
        return [call for call in self._live if call.info.stale]

    def expire(self, now: float) -> None:
        """Let go of what has been kept long enough."""
        self.why = "its time was over"
        for call in [c for c in self._timed if c._deadline is not None and c._deadline <= now]:
            self._forget(call, now)
        while self._ended:
            call_id, tombstone = next(iter(self._ended.items()))
            if tombstone.until > now:
                break
            del self._ended[call_id]

    def clear(self) -> None:
        """The client was closed: nothing is tracked any more."""
        self.why = "the client was closed"
        for call in [*self._live, *self._timed]:
            self._forget(call, 0.0)

    # --- events ------------------------------------------------------------------------

    def known(self, frame: Frame) -> C | None:
        """The tracked call that all of an event's ids are of, as those of nearly all events are.

        Then none of them need be looked at further, and ``step`` is all there is to do.
        """
        try:
            call = self._by_id.get(frame["callid"])
            if (
                call is not None
                and call._place is LIVE
                and frame["event"] in TRANSITIONS
                and (frame["channel"], frame["uid"]) in call._routes
                and frame["appid"] == call.info.app_id
            ):
                return call
        except (KeyError, TypeError):  # something is left out, or is no text
            pass
        return None

    def apply(self, frame: Frame, now: float) -> Found[C]:
        """Take in one event frame."""
        found: Found[C] = Found()
        name = self.why = text_of(frame.get("event"))
        call_id = text_of(frame.get("callid"))
        call = self._by_id.get(call_id) if call_id else None
        if call is None:
            route, has_id = self._routes.route_of(frame)
            if has_id and call_id in self._ended:
                return found  # of a call that is over
            if name != "call_incoming":
                call = self._without_id(route, name, has_id, frame)
            if call is not None and has_id and not call.info.call_id:
                self._bind(call, call_id)
            if call is None:
                ends = name == "call_hangup"
                if call_id in self._ended and not (ends and frame.get("timestamp")):
                    return found  # a route in the id's place, and no call is left there
                if not has_id and ends and self._routes.are_last_words(route, frame):
                    return found
                if name not in TRANSITIONS or not call_id:
                    timestamp = number_of(frame.get("timestamp"))
                    found.events.append(
                        events.UnknownEvent(name=name, timestamp=timestamp, raw=frame)
                    )
                    return found
                call = self._stranger(frame, name, call_id, None if has_id else route)
                if any(other._place is ORPHAN for other in self._routes.unbound(route)):
                    self._suspects[call] = None
        if call._place is ORPHAN:
            if not call.info.call_id and name != "call_hangup":
                call._leg = TRANSITIONS.get(name, {}).get(call._leg, call._leg)
                return found  # it is up, but there is no id yet to hang it up by
            found.events.append(self.turn_up(call, now))
            if not self._keep_orphans and name != "call_hangup":
                found.to_end = call
        event = self.step(call, frame, name, now)
        if call_id == call.info.call_id and call._place is not GONE:
            # Where it is by its own id, also if the answer that would have told was lost.
            self._routes.add(call, text_of(frame.get("channel")), text_of(frame.get("uid")))
        if event is not None:
            found.events.append(event)
        self._thin_out(now)
        return found

    def _without_id(self, route: Route, name: str, has_id: bool, frame: Frame) -> C | None:
        """The call of an event whose ``callid`` is missing or not known."""
        dialled = text_of(frame.get("to")) if self._ends_any(frame.get("direction")) else None
        call = self._routes.find(route, name, has_id, dialled)
        if call is None:
            if name in ("call_initiated", "call_ringing") and not has_id and self._undialled == 1:
                # The gateway's first words, of no route: there is but one call they can be of.
                waiting = [call for call in self._live if not call.info.call_id]
                if len(waiting) == 1 and not (route.channel or route.uid):
                    return waiting[0]
            return None
        if (
            name == "call_hangup"
            and not has_id
            and call._place is not CLOSING
            # Seconds are coarse: two calls can end with equal words. One whose audio has
            # left is about to end, and one that never ends is worse than one that ends early.
            and call._leg is not UNBRIDGED
            and self._routes.are_last_words(route, frame)
        ):
            return None  # the copy of an older call's hangup
        return call

    def _ends_any(self, direction: object) -> bool:
        """Whether a call of this direction is hung up whichever of several orphans it is."""
        return not self._keep_orphans and direction != "inbound"

    def step(self, call: C, frame: Frame, name: str, now: float) -> Event | None:
        """Move *call* by one event; None if it is late or a copy."""
        self.why = name
        new = advance(call, frame, name)
        if name == "call_incoming" and new is not None and not call._accepted:
            call._held_until = now + INCOMING_SECONDS
            self._set_place(call, LIVE, call._held_until)
        if call._deadline is not None and call._place is LIVE:
            its_own = text_of(frame.get("callid")) == call.info.call_id
            if its_own or (new is not None and self._routes.is_alone(call)):
                # So the CM knows the call; an answer ends its being held.
                if call._leg in UP or name == "dtmf_received":
                    call._held_until = None
                self._set_place(call, LIVE, call._held_until)
                if call.info.stale:
                    self._change(call, stale=False)
        if new is None:
            return None
        if name == "call_hangup":
            self._change(call, **new)
            self._routes.remember_last_words(call, frame)
            self._forget(call, now)
        elif new and any(getattr(call.info, field) != value for field, value in new.items()):
            self._change(call, **new)
            self._routes.add(call)
        if name == "dtmf_received":
            digits = text_of(frame.get("digits"))
            echo = call._echoes != "" and call._is_echo(digits, now)
            if not echo and call._leg in UP:
                call._heard(digits)
            return events.dtmf_received(frame, call, call.info, digits, echo)
        return events.call_event(name, frame, call, call.info)

    def _stranger(self, frame: Frame, name: str, call_id: str, route: Route | None) -> C:
        """A call that the CM knows and we did not; *route* is what stood in its id's place."""
        _, channel, uid = route or Route("", "", "")
        call = self._admit(self._make(unheard_of(frame, name, channel, uid)), call_id)
        self._strangers[call] = None
        return call

    def _thin_out(self, now: float) -> None:
        """However many calls the CM tells of, those that nobody here wanted are bounded."""
        if len(self._strangers) > REMEMBERED_MOST:
            self._forget(next(iter(self._strangers)), now)

    # --- keeping the indexes -----------------------------------------------------------

    def _admit(self, call: C, call_id: str = "") -> C:
        self._live[call] = None
        self._set_place(call, LIVE, None)
        if call_id:
            self._bind(call, call_id)
        self._routes.add(call)
        return call

    def _bind(self, call: C, call_id: str) -> None:
        if call.info.call_id != call_id:
            self._by_id.pop(call.info.call_id, None)
            self._change(call, call_id=call_id)
            self.moves.append(Move(call_id, None, call.info.state, self.why))
            if call._place is ORPHAN:
                self._known_orphans[call] = None
        self._by_id[call_id] = call

    def _settle_suspects(self, now: float) -> None:
        """A dial has its end: what its route still fits may now be but one orphan."""
        for suspect in list(self._suspects):
            info = suspect.info
            unbound = self._routes.unbound(Route(info.app_id, info.channel, info.uid))
            if not any(call._place is LIVE for call in unbound):
                del self._suspects[suspect]
                if self._ends_any(info.direction):
                    unbound = one_adopted(unbound, info.to)
                if len(unbound) == 1:
                    self.identify(unbound[0], info.call_id, now)

    def identify(self, call: C, call_id: str, now: float) -> C:
        """*call* was dialled and has *call_id*; returns the call that goes by it from now on."""
        if not call_id or call.info.call_id == call_id:
            return call
        other = self._by_id.get(call_id)
        if other is None and call_id in self._ended:
            other = self._ended[call_id].call
        if other is None:
            if call._place is GONE:  # events without an id had ended it
                self._change(call, call_id=call_id)
                self._bury(call_id, _Tombstone(now + REMEMBERED_SECONDS, True, None))
            else:
                self._bind(call, call_id)
            return call
        # Events of the new id came first and fitted more than one dial: they made a call.
        self._suspects.pop(other, None)
        self._strangers.pop(other, None)
        dialled, place, deadline = call.info, call._place, call._deadline
        self._forget(call, now)
        new: dict[str, Any] = {
            name: getattr(other.info, name) or getattr(dialled, name)
            for name in ("direction", "from_", "to", "channel", "uid", "app_id", "video")
        }
        self._change(other, created_at=dialled.created_at, **new)
        if other._place is not GONE:
            self._routes.add(other)
        if place is ORPHAN and other._place is LIVE:
            del self._live[other]
            self._orphans[other] = None
            self._set_place(other, place, deadline)
        return other

    def _change(self, call: C, **new: Any) -> None:
        """Swap the call's snapshot for one with these fields."""
        before, after = call.info, evolved(call.info, new)
        if before.state is not after.state:
            self.moves.append(Move(after.call_id, before.state, after.state, self.why))
        if not call._complete:
            call._complete = is_complete(after)
        call._changed(after)

    def _set_place(self, call: C, place: Place, deadline: float | None) -> None:
        call._place = place
        call._deadline = deadline
        if place is ORPHAN and call.info.call_id:
            self._known_orphans[call] = None
        else:
            self._known_orphans.pop(call, None)
        if deadline is None:
            self._timed.pop(call, None)
        else:
            self._timed[call] = None

    def _forget(self, call: C, now: float, **new: Any) -> None:
        """Take *call* out of every index; only its id is remembered."""
        self._live.pop(call, None)
        self._orphans.pop(call, None)
        self._set_place(call, GONE, None)
        self._suspects.pop(call, None)
        self._strangers.pop(call, None)
        self._routes.remove(call)
        call_id = call.info.call_id
        ended = new.get("state", call.info.state) is HANGUP
        if call.info.active and not ended:
            self.moves.append(Move(call_id, call.info.state, None, self.why))
        if self._by_id.get(call_id) is call:
            del self._by_id[call_id]
            kept = call if self._undialled or self._orphans else None
            self._bury(call_id, _Tombstone(now + REMEMBERED_SECONDS, ended, kept))
        self._change(call, **{**new, "active": False, "stale": False})

    def _bury(self, call_id: str, tombstone: _Tombstone[C]) -> None:
        self._ended[call_id] = tombstone
        self._ended.move_to_end(call_id)
        if len(self._ended) > REMEMBERED_MOST:
            self._ended.popitem(last=False)
