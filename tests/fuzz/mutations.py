"""Good frames made bad, from a seeded source of chance."""

from __future__ import annotations

import json
import random
from typing import Callable, Sequence, TypeVar

from tests.fuzz.corpus import KINDS, TOLD, Pairs, text

T = TypeVar("T")

#: JSON texts to put where others are expected; the second list holds what is no JSON.
WRONG = [
    "null", "true", "false", "0", "-1", "1.5", "1e308", "1e999", "-0.0", "1e-400", "[]", "{}",
    "[[]]", '{"a":1}', '[{"event":"call_hangup"}]', '""', '" "', '"\\u0000"', '"\\ud800"',
    '"\\udc00\\ud800"', '"true"', '"NaN"', '"1e5"', '"-7"', '"::"', '"APP:room:100"', '"MULTI"',
    '"call_hangup"', '"registered"', '"\u202e\u00e9\u260e"', '"\\r\\nX: y"', str(10**30),
    "9" * 300, '"' + "9" * 5000 + '"', '{"success":"no"}', '{"success":[]}', '{"callid":{}}',
]
BROKEN = [
    "NaN", "Infinity", "-Infinity", "9" * 5000, "-" + "9" * 5000, "01", "'a'", "undefined", "",
    '"\\x41"', '"\x00"', '"\ttab"', "[1,]", '{"a":}', "{1:2}", "+1", ".5", '"open', "[", "}",
]
#: None of them is near 1,000, where it depends on who calls whether Python can read it.
DEPTHS = (20, 200, 400, 700, 800, 800, 1500, 5000, 100_000)


def _one_of(chance: random.Random, choices: Sequence[T]) -> T:
    return choices[int(chance.random() * len(choices))]  # choice() takes three times as long


class Maker:
    """Makes messages as the transport hands them on: str, or bytes for what is not UTF-8."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def message(self, call_ids: Sequence[str], request_ids: Sequence[str]) -> str | bytes:
        """One message, about calls and requests that there are, or nearly so."""
        chance = self._chance
        frame = self._frame(call_ids, request_ids)
        roll = chance.random()
        if roll < 0.15:  # well formed: so that the conversation gets anywhere
            return text(frame)
        for _ in range(chance.choice((1, 1, 1, 2, 4))):
            _one_of(chance, _IN_FRAME)(self, frame)
        if roll < 0.165:
            self._put_huge(frame, request_ids)
        written = text(frame)
        if roll < 0.80:
            return written
        return chance.choice(_IN_TEXT)(self, written)

    def _frame(self, call_ids: Sequence[str], request_ids: Sequence[str]) -> Pairs:
        chance = self._chance
        frame = list(_one_of(chance, KINDS if chance.random() < 0.5 else TOLD))
        call_id = json.dumps(_one_of(chance, call_ids))
        for place, (key, value) in enumerate(frame):
            if key == '"callid"':
                frame[place] = (key, call_id)
            elif key == '"request_id"':
                frame[place] = (key, json.dumps(_one_of(chance, request_ids)))
            elif key == '"data"':
                frame[place] = (key, value.replace('"@"', call_id))
        return frame

    # --- in the frame ------------------------------------------------------------------

    def _put(self, frame: Pairs, value: str) -> None:
        if frame:
            place = self._chance.randrange(len(frame))
            frame[place] = (frame[place][0], value)

    def wrong(self, frame: Pairs) -> None:
        self._put(frame, _one_of(self._chance, WRONG))

    def broken(self, frame: Pairs) -> None:
        self._put(frame, self._chance.choice(BROKEN))

    def drop(self, frame: Pairs) -> None:
        if frame:
            del frame[self._chance.randrange(len(frame))]

    def double(self, frame: Pairs) -> None:
        """The same key twice, with two values."""
        if frame:
            key, _ = self._chance.choice(frame)
            frame.append((key, self._chance.choice(WRONG)))

    def splice(self, frame: Pairs) -> None:
        """Fields of two frames in one."""
        other = self._chance.choice(KINDS)
        frame += self._chance.sample(other, self._chance.randrange(len(other)))

    def shuffle(self, frame: Pairs) -> None:
        self._chance.shuffle(frame)

    def swap(self, frame: Pairs) -> None:
        """The value of one key under another."""
        if frame:
            key, _ = self._chance.choice(frame)
            self._put(frame, self._chance.choice(frame)[1])
            frame.append((key, self._chance.choice(frame)[1]))

    def _put_huge(self, frame: Pairs, request_ids: Sequence[str]) -> None:
        """Something very long or very deep, where text is expected or where an object is."""
        if self._chance.random() < 0.02:
            return self._put(frame, '"' + "x" * (1 << 20) + '"')
        depth = self._chance.choice(DEPTHS)
        left, right = self._chance.choice((("[", "]"), ('{"a":', "}"), ('{"data":[', "]}")))
        deep = left * depth + "0" + right * depth
        if self._chance.random() < 0.5:
            return self._put(frame, deep)
        # Else in what a refusal carries, which is looked into more than other things are.
        answered = json.dumps(self._chance.choice(request_ids))
        frame[:] = [('"request_id"', answered), ('"data"', deep), ('"error"', '"no"')]

    # --- in the text -------------------------------------------------------------------

    def truncate(self, written: str) -> str:
        return written[:self._chance.randrange(len(written))]

    def insert(self, written: str) -> str:
        place = self._chance.randrange(len(written))
        return written[:place] + self._chance.choice('{}[]",:\\0\x00\u2028x ') + written[place:]

    def cut(self, written: str) -> str:
        place = self._chance.randrange(len(written))
        return written[:place] + written[place + self._chance.randrange(1, 8):]

    def twice(self, written: str) -> str:
        return written + self._chance.choice(("", " ", "\n", ",")) + written

    def wrapped(self, written: str) -> str:
        return self._chance.choice(("[%s]", " %s\n", "\ufeff%s", '"%s"', "(%s)")) % written

    def something_else(self, written: str) -> str:
        return self._chance.choice(WRONG + BROKEN + [" ", "\x00", "[" * 100_000])

    def flipped(self, written: str) -> str | bytes:
        """A bit of a byte is another; often that is not UTF-8 any more."""
        data = bytearray(written.encode())
        data[self._chance.randrange(len(data))] ^= 1 << self._chance.randrange(8)
        try:
            return data.decode()
        except UnicodeDecodeError:
            return bytes(data)

    def binary(self, written: str) -> bytes:
        return self._chance.randbytes(self._chance.randrange(40))


_IN_FRAME: list[Callable[[Maker, Pairs], None]] = [
    Maker.wrong, Maker.wrong, Maker.wrong, Maker.wrong, Maker.broken, Maker.drop, Maker.double,
    Maker.splice, Maker.shuffle, Maker.swap,
]
_IN_TEXT: list[Callable[[Maker, str], str | bytes]] = [
    Maker.truncate, Maker.insert, Maker.cut, Maker.twice, Maker.wrapped, Maker.something_else,
    Maker.flipped, Maker.flipped, Maker.binary,
]
