"""How long to pause before the next attempt to connect."""

from __future__ import annotations

import random

import attrs

from telephony.errors import InvalidArgumentError

#: After a connection has held this many seconds the pauses start over.
STABLE_SECONDS = 30.0


def _positive(_: object, field: attrs.Attribute[float], value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise InvalidArgumentError(
            f"Backoff {field.name} must be more than 0 seconds, not {value!r}"
        )


@attrs.frozen
class Backoff:
    """Growing pauses: up to *initial* seconds, then up to twice that, never over *maximum*.

    With *jitter* a pause is drawn evenly from 0 up to that bound, so that clients which lost
    the same server do not come back all at once; without, it is the bound itself.
    """

    initial: float = attrs.field(default=1.0, validator=_positive)
    maximum: float = attrs.field(default=30.0, validator=_positive)
    jitter: bool = True

    def pause(self, attempt: int) -> float:
        """Seconds before attempt number *attempt*, the first being 0."""
        # Past 2**30 every bound is the maximum; larger powers overflow a float.
        bound = min(self.maximum, self.initial * 2.0 ** min(attempt, 30))
        return random.uniform(0.0, bound) if self.jitter else bound
