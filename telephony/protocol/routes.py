"""Finding a call without its ``callid``: by its route, the composite ``appid:channel:uid``.

The gateway's first events of a dial come with an empty ``callid``, events of a new id can
overtake the dial's answer, and the A-leg's ``call_hangup`` has been seen to carry the
composite in the id's place. A route that fits more than one call decides nothing, unless it does
not matter which of them it is.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Generic, NamedTuple, TypeVar

from telephony.protocol.calls import CLOSING, LIVE, ORPHAN, TrackedCall, can_be_next
from telephony.protocol.wire import Frame, text_of, words_of

#: A call that moves on and on is found under so many of its routes: the first, and the last ones.
ROUTES_MOST = 16
#: What the last hangups said is remembered for so many routes.
LAST_WORDS_MOST = 10_000

C = TypeVar("C", bound=TrackedCall)


class Route(NamedTuple):
    app_id: str
    channel: str
    uid: str


class Routes(Generic[C]):
    """The calls by their routes, and the last words of those that ended."""

    def __init__(self, app_id: str) -> None:
        self._app_id = app_id  # of the client; "" if it serves several
        self._calls: dict[tuple[str, str], tuple[C, ...]] = {}  # smaller than lists: mostly one
        self._refused: OrderedDict[tuple[str, str], None] = OrderedDict()  # dials, lately
        self._last_words: OrderedDict[Route, tuple[str, ...]] = OrderedDict()

    def add(self, call: C, channel: str = "", uid: str = "") -> None:
        """File *call* under where its audio is, or may be; older routes of it stay good too."""
        route = (channel or call.info.channel, uid or call.info.uid)
        if route[0] and route[1] and route not in call._routes:
            self._calls[route] = (*self._calls.get(route, ()), call)
            call._routes += (route,)
            if len(call._routes) > ROUTES_MOST:
                first, second, *last = call._routes
                self._leave(call, second)
                call._routes = (first, *last)

    def remove(self, call: C) -> None:
        for route in call._routes:
            self._leave(call, route)
        call._routes = ()

    def _leave(self, call: C, route: tuple[str, str]) -> None:
        others = tuple(other for other in self._calls[route] if other is not call)
        if others:
            self._calls[route] = others
        else:
            del self._calls[route]

    def refused(self, call: C) -> None:
        """The dial of *call* was refused: a hangup of it may still come, with an id unheard of."""
        # An event may have ended it, and with that its place among the routes.
        for route in {*call._routes, (call.info.channel, call.info.uid)}:
            self._refused[route] = None
            if len(self._refused) > LAST_WORDS_MOST:
                self._refused.popitem(last=False)

    def route_of(self, frame: Frame) -> tuple[Route, bool]:
        """The route of an event, and whether its ``callid`` is a call's own id."""
        call_id = text_of(frame.get("callid"))
        if call_id.count(":") >= 2:
            app_id, _, rest = call_id.partition(":")
            channel, _, uid = rest.rpartition(":")
            route = Route(app_id, channel, uid)
            if (channel, uid) in self._calls or route in self._last_words:
                return route, False
        app_id = text_of(frame.get("appid")) or self._app_id
        route = Route(app_id, text_of(frame.get("channel")), text_of(frame.get("uid")))
        return route, bool(call_id)

    def _on(self, route: Route) -> list[C]:
        return [
            call
            for call in self._calls.get(route[1:], ())
            if not route.app_id or call.info.app_id in ("", route.app_id)
        ]

    def is_alone(self, call: C) -> bool:
        """No other call is where *call* is, or has been."""
        return all(len(self._calls[route]) == 1 for route in call._routes)

    def unbound(self, route: Route) -> list[C]:
        """The calls on *route* whose id is not known yet."""
        return [call for call in self._on(route) if not call.info.call_id]

    def find(self, route: Route, name: str, has_id: bool, dialled: str | None = None) -> C | None:
        """The one call on *route* that an event can be about; None if there is no such one.

        *dialled* is the number if it may be any of several adopted dials, all to be hung up.
        """
        fits = self._on(route)
        live = [call for call in fits if call._place is LIVE]
        orphans = [call for call in fits if call._place is ORPHAN]
        closing = [call for call in fits if call._place is CLOSING]
        waiting = [call for call in live if not call.info.call_id]
        lost = [call for call in orphans if not call.info.call_id]
        if has_id and name == "call_hangup" and route[1:] in self._refused:
            return None  # perhaps of the dial that was refused; the others hear their own ids
        if has_id:  # an id nobody has yet belongs to a call that has none yet
            unbound = waiting + lost
            choices = [
                unbound if dialled is None else one_adopted(unbound, dialled), live, closing
            ]
        elif name in ("call_initiated", "call_ringing"):
            silent = [call for call in live if can_be_next(call, name)]
            choices = [waiting, lost + silent, live, closing, orphans]
        elif name == "call_hangup":  # what we hung up is waiting for just this
            choices = [closing, live, orphans]
        else:  # a call that is there goes before one that may be
            choices = [live, closing, orphans]
        chosen = next(filter(None, choices), [])
        return chosen[0] if len(chosen) == 1 else None

    # A hangup's copy may come without the callid, when a new call is on the same route.

    def remember_last_words(self, call: C, frame: Frame) -> None:
        """*call* ends with this hangup; its copy may name any route that the call has had."""
        for channel, uid in call._routes:
            route = Route(call.info.app_id, channel, uid)
            self._last_words[route] = _words(frame)
            self._last_words.move_to_end(route)
            if len(self._last_words) > LAST_WORDS_MOST:
                self._last_words.popitem(last=False)

    def are_last_words(self, route: Route, frame: Frame) -> bool:
        """Whether a hangup is most likely the copy of the last one on *route*."""
        return bool(frame.get("timestamp")) and self._last_words.get(route) == _words(frame)


def one_adopted(unbound: list[C], to: str) -> list[C]:
    """The calls that a new id may be of; but one where it is an adopted dial's, whichever that is.

    No answer will tell those apart, nobody holds them, and all that turn up are to be hung up. So
    each that does takes the place of one: of one to the same number, or else of the oldest.
    """
    if len(unbound) > 1 and all(call._place is ORPHAN and call._adopted for call in unbound):
        return ([call for call in unbound if call.info.to == to] or unbound)[:1]
    return unbound


def _words(frame: dict[str, Any]) -> tuple[str, ...]:
    names = ("timestamp", "hangup_cause", "duration", "billsec")
    return tuple(words_of(frame.get(name)) for name in names)
