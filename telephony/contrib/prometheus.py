"""What a client does as Prometheus metrics; needs ``pip install "agora-telephony[metrics]"``.

::

    from telephony.contrib.prometheus import PrometheusHooks

    client = Client(..., hooks=PrometheusHooks())
"""

from __future__ import annotations

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
except ImportError as missing:
    raise ImportError(
        'telephony.contrib.prometheus needs prometheus-client: '
        'pip install "agora-telephony[metrics]"'
    ) from missing

from telephony.hooks import Hooks
from telephony.protocol.events import CALL_EVENTS

#: Upper bounds of the histograms' buckets, in seconds: a command on a LAN takes milliseconds,
#: a dial up to a minute and a half.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 90)

#: Names that the CM makes up get no series of their own.
_KNOWN = {*CALL_EVENTS, "call_orphaned", "connected", "disconnected", "gap", "error"}


class PrometheusHooks(Hooks):
    """Counts and times what clients do; make one a process and give it to all its clients.

    *registry* is where the metrics are registered (a second object there is a ``ValueError`` of
    prometheus-client's), *prefix* what their names begin with, *buckets* the histograms' upper
    bounds in seconds:

    ==================================== ========= ===========================================
    ``telephony_commands_total``         counter   commands by ``action`` and ``end`` (``ok``,
                                                   ``refused``, ``not_sent``, ``unknown``)
    ``telephony_command_seconds``        histogram round trips of those answered, by ``action``
    ``telephony_events_total``           counter   events by ``event``; ``other`` for names
                                                   that are not known
    ``telephony_callbacks_queued``       gauge     events that wait for a callback thread
    ``telephony_callback_wait_seconds``  histogram how long they waited
    ``telephony_connected``              gauge     clients that are registered
    ``telephony_reconnects_total``       counter   connections made again after a loss
    ==================================== ========= ===========================================

    With several worker processes use prometheus-client's multiprocess mode; the gauges add up.
    (Without it a forked child goes on from its parent's figures.)
    """

    def __init__(
        self,
        registry: CollectorRegistry = REGISTRY,
        *,
        prefix: str = "telephony",
        buckets: tuple[float, ...] = BUCKETS,
    ) -> None:
        self._commands = Counter(
            f"{prefix}_commands",
            "Commands by their end.",
            ["action", "end"],
            registry=registry,
        )
        self._command_seconds = Histogram(
            f"{prefix}_command_seconds",
            "Round trips of commands that were answered.",
            ["action"],
            registry=registry,
            buckets=buckets,
        )
        self._events = Counter(
            f"{prefix}_events", "Events received.", ["event"], registry=registry
        )
        self._queued = Gauge(
            f"{prefix}_callbacks_queued",
            "Events that wait for a callback thread.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._waited = Histogram(
            f"{prefix}_callback_wait_seconds",
            "How long events waited for a callback thread.",
            registry=registry,
            buckets=buckets,
        )
        self._connected = Gauge(
            f"{prefix}_connected",
            "Clients that are registered with the Call Manager.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._reconnects = Counter(
            f"{prefix}_reconnects", "Connections made again after a loss.", registry=registry
        )

    def command_ended(self, action: str, end: str, seconds: float) -> None:
        self._commands.labels(action, end).inc()
        if end in ("ok", "refused"):
            self._command_seconds.labels(action).observe(seconds)

    def event_received(self, name: str) -> None:
        self._events.labels(name if name in _KNOWN else "other").inc()

    def callback_queued(self, length: int) -> None:
        self._queued.inc()  # not set(length): two threads may tell theirs in the wrong order

    def callback_started(self, length: int, seconds: float) -> None:
        self._queued.dec()
        self._waited.observe(seconds)

    def connected(self, reconnected: bool) -> None:
        self._connected.inc()
        if reconnected:
            self._reconnects.inc()

    def disconnected(self) -> None:
        self._connected.dec()
