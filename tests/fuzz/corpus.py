"""What a Call Manager sends when all is well: every kind of frame in the protocol.

A frame is a list of pairs, the JSON texts of a key and of its value, so that what no JSON writer
would write can be put in: doubled keys, ``NaN``, numbers of 5,000 digits.
"""

from __future__ import annotations

import json
import pathlib
from typing import Any

Pairs = list[tuple[str, str]]

TRANSCRIPTS = pathlib.Path(__file__).parent.parent / "transcripts"

_CALL = {
    "timestamp": 1_700_000_000, "uid": "100", "channel": "room", "to": "+18005551234",
    "from": "+15551234567", "direction": "outbound", "appid": "APP", "video": False,
}
_EVENTS: list[dict[str, Any]] = [
    {"event": "call_incoming", "did": "+1800", "sip_headers": {"X-A": "1"}},
    {"event": "call_initiated", "pin": "12", "sip_headers": {"X-A": "1"}},
    {"event": "call_ringing"},
    {"event": "call_answered", "wav_file": "a.wav"},
    {"event": "agora_bridge_start", "sdk_options": "{}"},
    {"event": "agora_bridge_start", "rebridge": True, "previous_channel": "a",
     "previous_uid": "1"},
    {"event": "agora_bridge_end"},
    {"event": "agora_bridge_end", "rebridge": True, "segment_billsec": "3"},
    {"event": "agora_bridge_failed", "rebridge": True, "reason": "join failed: no"},
    {"event": "dtmf_received", "digits": "12#"},
    {"event": "call_hangup", "hangup_cause": "NORMAL_CLEARING", "duration": "7", "billsec": "3",
     "sip_disposition": "recv_bye"},
    {"event": "call_teleported"},
]
_OTHERS: list[dict[str, Any]] = [
    {"status": "connected", "session_id": "s-1"},
    {"status": "registered", "client_id": "client-1"},
    {"error": "unauthorized"},
    {"error": "appid required in MULTI mode", "request_id": "@"},
    {"error": "callid not found", "request_id": "@"},
    {"response": "outbound", "status_code": 200,
     "data": {"success": True, "callid": "@"}, "request_id": "@"},
    {"response": "outbound", "status_code": 200,
     "data": {"success": False, "reason": "Busy"}, "request_id": "@"},
    {"response": "accept", "status_code": 200, "data": {"success": True}, "request_id": "@"},
    {"response": "outbound", "status_code": 503,
     "data": {"gateway_ip": "10.0.0.1"}, "request_id": "@"},
]


def pairs(frame: dict[str, Any]) -> Pairs:
    return [(json.dumps(key), json.dumps(value)) for key, value in frame.items()]


def text(frame: Pairs) -> str:
    return "{" + ",".join([f"{key}:{value}" for key, value in frame]) + "}"


def _of_transcripts() -> list[dict[str, Any]]:
    found = []
    for path in sorted(TRANSCRIPTS.glob("*.json")):
        for step in json.loads(path.read_text(encoding="utf-8"))["steps"]:
            if isinstance(step.get("cm"), dict):
                found.append(step["cm"])
    return found


#: Half of the inputs come from the protocol's own kinds, half from the transcripts.
KINDS = [pairs({**_CALL, "callid": "@", **event}) for event in _EVENTS]
KINDS += [pairs(frame) for frame in _OTHERS]
TOLD = [pairs(frame) for frame in _of_transcripts()]
