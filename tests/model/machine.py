"""The machine: steps of a play, in any order that hypothesis can think of.

It has been seen to fail, within 300 examples of 40 steps, with a client that let a late ringing
go back, kept no tombstones, told copies (of ringing, answered, a bridge start) again, forgot to
call a call stale, ended no orphan or ended it twice, guessed one of two calls on a route, took no
notice of a route's App ID, lost a held call in an outage, kept it for ever, or kept a declined one.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.model.acts import DIDS, Acts
from tests.model.play import SPOTS

which = st.integers(0, 7)
spots = st.sampled_from(SPOTS)
flags = st.booleans()


class Machine(RuleBasedStateMachine):
    """Few rules, each with many things to do: so hypothesis does as much of each."""

    play: Acts | None = None
    hang_up = False

    @initialize(multi=flags, keep=flags, hang_up=flags)
    def begin(self, multi: bool, keep: bool, hang_up: bool) -> None:
        """A client of one App ID or of two, with one policy for orphans or the other."""
        self.play = Acts(multi=multi, keep=keep)
        self.hang_up = hang_up

    @rule(
        spot=spots,
        app=st.sampled_from([0, 0, 1]),
        outcome=st.sampled_from(
            ["answer", "answer", "answer", "answer", "busy", "no_answer", "no_gateway", "invalid"]
        ),
        early=flags,
        delay=flags,
        composite=flags,
        direction=st.sampled_from(["outbound", "outbound", "outbound_sip"]),
        on=st.sampled_from([0, 1, 2, 3, 3, 4]),
        then=st.sampled_from(["", "", "", "give_up", "drop"]),
    )
    def dial(self, **how: Any) -> None:
        """Somebody is called."""
        self.play.dial(**how)

    @rule(
        what=st.sampled_from(
            ["happens", "happens", "happens", "incoming", "incoming", "press", "far_end_hangs_up"]
        ),
        way=st.sampled_from(["keep", "accept", "accept", "decline", "reject"]),
        app=st.integers(0, 1),
        did=st.sampled_from(DIDS),
        numbers=st.lists(which, min_size=1, max_size=6),
        digits=st.sampled_from(["1", "2#", "12", "121"]),
        together=flags,
        cause=st.sampled_from(["NORMAL_CLEARING", "USER_BUSY"]),
    )
    def far_away(
        self, what: str, way: str, app: int, did: str, numbers: list[int], digits: str,
        together: bool, cause: str,
    ) -> None:  # fmt: skip
        """At the CM and beyond, something happens; somebody may call us."""
        if what == "incoming":
            self.play.incoming(way, app, did)
        elif what == "press":
            self.play.press(numbers[0], digits, together)
        elif what == "far_end_hangs_up":
            self.play.far_end_hangs_up(numbers[0], cause)
        else:
            self.play.happens(numbers)

    @rule(
        what=st.sampled_from(
            ["take_or_leave", "take_or_leave", "hang_up", "hang_up", "send_digits", "collect",
             "bridge", "rebridge", "unbridge", "transfer", "give_up"]
        ),
        number=which,
        spot=spots,
        digits=st.sampled_from(["1", "2#", "12", "121"]),
        flag=flags,
    )  # fmt: skip
    def ours(self, what: str, number: int, spot: Any, digits: str, flag: bool) -> None:
        """We do something with a call."""
        more: dict[str, tuple[Any, ...]] = {
            "take_or_leave": (spot, flag),
            "send_digits": (digits,),
            "collect": (len(digits),),
            "bridge": (spot,),
            "rebridge": (spot, flag),
        }
        getattr(self.play, what)(number, *more.get(what, ()))

    @rule(
        what=st.sampled_from(["the line", "the line", "late_copy", "late_copy", "unheard_of"]),
        refuse=st.sampled_from([False, False, True]),
        back=st.integers(1, 12),
    )
    def trouble(self, what: str, refuse: bool, back: int) -> None:
        """The connection goes or comes, or something comes that is late or not known."""
        play = self.play
        if what != "the line":
            getattr(play, what)(back)
        elif play.model.connected:
            play.drop()
        elif play.out:
            play.come_back(refuse)
        else:
            play.connect()

    @rule(
        what=st.sampled_from(["moods", "moods", "moods", "refuse", "subscribe", "time_passes"]),
        twice=flags,
        shuffled=flags,
        seed=st.integers(0, 9),
        slow=st.sampled_from([None, "endcall", "hangup", "send_dtmf", "bridge"]),
        action=st.sampled_from(["endcall", "accept", "outbound", "bridge", "subscribe"]),
        form=st.sampled_from(["error", "data", "status"]),
        numbers=st.sampled_from([[], DIDS[:1], DIDS]),
        seconds=st.sampled_from([61, 61, 601, 3601]),
    )
    def circumstances(
        self, what: str, twice: bool, shuffled: bool, seed: int, slow: str | None, action: str,
        form: str, numbers: list[str], seconds: int,
    ) -> None:  # fmt: skip
        """Things change for what comes next."""
        if what == "moods":
            self.play.moods(twice, shuffled, seed, slow)
        elif what == "refuse":
            self.play.refuse(action, form)
        elif what == "subscribe":
            if shuffled:
                self.play.refuse("subscribe", form)
            self.play.subscribe(numbers)
        else:
            self.play.time_passes(seconds)

    def teardown(self) -> None:
        if self.play is not None:
            self.play.end(hang_up=self.hang_up)
