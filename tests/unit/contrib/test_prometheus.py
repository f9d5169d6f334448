"""The ready hooks, against the real prometheus-client."""

from __future__ import annotations

import subprocess
import sys

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from telephony import Backoff, CallNotFoundError, CallRinging, Gap, NotConnectedError, UnknownEvent
from telephony.contrib.prometheus import PrometheusHooks
from tests.conftest import DIAL
from tests.scripted import Recorded, Running


def samples(registry):
    """What a scrape would read: each sample by its name and labels."""
    text = generate_latest(registry).decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_a_clients_life(scripted):
    """Commands by their ends, round trips, events, the queue, connections."""
    registry = CollectorRegistry()
    hooks = PrometheusHooks(registry)
    client, line = scripted.connected(hooks=hooks, reconnect=Backoff(0.01, 0.02))
    ringing, unknown, gap = Recorded(), Recorded(), Recorded()
    client.on(CallRinging, ringing)
    client.on(UnknownEvent, unknown)
    client.on(Gap, gap)
    dialling = Running(client.dial, **DIAL)
    line.answer(line.receive("outbound"), callid="id-1")
    call = dialling.result()
    line.event("call_ringing", "id-1")
    ringing.next()
    line.event("never_heard_of", "id-1")
    unknown.next()
    digits = Running(call.send_dtmf, "1")
    line.refuse(line.receive("send_dtmf"), "call not found")
    with pytest.raises(CallNotFoundError):
        digits.result()
    assert 1 == samples(registry)["telephony_connected",]
    line.drop()
    scripted.line().greet()
    gap.next()
    client.close()
    with pytest.raises(NotConnectedError):
        scripted.client(hooks=hooks).command("ping")

    found = samples(registry)
    assert 1 == found["telephony_commands_total", "outbound", "ok"]
    assert 1 == found["telephony_commands_total", "send_dtmf", "refused"]
    assert 1 == found["telephony_commands_total", "ping", "not_sent"]
    assert 1 == found["telephony_command_seconds_count", "outbound"]
    assert 1 == found["telephony_command_seconds_count", "send_dtmf"]
    assert ("telephony_command_seconds_count", "ping") not in found
    assert 1 == found["telephony_events_total", "call_ringing"]
    assert 1 == found["telephony_events_total", "other"]
    assert 1 == found["telephony_events_total", "gap"]
    assert 0 == found["telephony_callbacks_queued",]
    assert 3 == found["telephony_callback_wait_seconds_count",]
    assert 0 == found["telephony_connected",]
    assert 1 == found["telephony_reconnects_total",]


def test_names_of_ones_own():
    """Two applications in one registry need two prefixes."""
    registry = CollectorRegistry()
    PrometheusHooks(registry).connected(False)
    PrometheusHooks(registry, prefix="pbx").connected(False)
    found = samples(registry)
    assert (1, 1) == (found["telephony_connected",], found["pbx_connected",])
    with pytest.raises(ValueError, match="telephony_commands"):
        PrometheusHooks(registry)


def test_without_the_package():
    """One clear error that says what to install."""
    program = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "import telephony.contrib.prometheus"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert 1 == ended.returncode
    last = ended.stderr.splitlines()[-1]
    assert 'needs prometheus-client: pip install "agora-telephony[metrics]"' in last
