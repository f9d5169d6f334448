"""A front desk: rings people up, and lets those callers in who know the PIN."""

from telephony import CallEndedError, CallIncoming, DialFailedError
from telephony import NotSentError, OutcomeUnknownError

NUMBER = "+15551230000"
PIN = "4711"


def rtc_token(channel, uid):
    """Yours: sign one, or ask your server."""
    return f"token for {uid} in {channel}"


class FrontDesk:
    """``visits`` has who called, and what became of it."""

    def __init__(self, client):
        self.client = client
        self.visits = []
        client.on(CallIncoming, self.answer, to=NUMBER)

    def ring(self, number):
        """Ring somebody up, and say what came of it."""
        try:
            self.client.dial(
                to=number, from_=NUMBER, channel="desk", uid=1, token=rtc_token("desk", 1),
                region="AREA_CODE_NA", timeout=20,
            )
        except DialFailedError as error:
            return error.reason
        except NotSentError:
            return "Try again"
        except OutcomeUnknownError:
            return "Unknown"  # it may be ringing: nobody is to dial again on his own
        return "Answered"

    def answer(self, event):
        """Ask a caller for the PIN."""
        call = event.call
        call.accept(channel="lobby", uid=2, token=rtc_token("lobby", 2))
        try:
            if call.collect_digits(max_digits=4, timeout=30) == PIN:
                call.rebridge(channel="office", uid=2, token=rtc_token("office", 2))
                outcome = "let in"
            else:
                call.hangup()
                outcome = "turned away"
        except CallEndedError as ended:
            outcome = f"left ({ended.cause})"  # the incident: this was not foreseen
        self.visits.append((call.from_, outcome))
