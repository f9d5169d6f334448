"""Events as rows: each once, and a call's state only forward.

A call's row is locked while an event of it is written, so that any number of processes can write
the events of one call, in any order. Nothing here looks at what the process knew before.
"""

from __future__ import annotations

import hashlib
import logging
import weakref
from datetime import datetime
from typing import Any, Iterable

from django.conf import settings
from django.db import (
    InterfaceError,
    OperationalError,
    connections,
    router,
    transaction,
)
from django.utils import timezone

from telephony.call import Call
from telephony.contrib.django.configuration import Configuration
from telephony.contrib.django.models import CallEventRecord, CallRecord
from telephony.errors import ProtocolError
from telephony.protocol import wire
from telephony.protocol.calls import CallInfo, moment_of
from telephony.protocol.events import (
    BridgeStarted,
    CallEvent,
    CallHangup,
    CallIncoming,
    CallOrphaned,
    DtmfReceived,
    Event,
    Gap,
    UnknownEvent,
)
from telephony.protocol.states import BRIDGED, HANGUP, INCOMING, TRANSITIONS, UNBRIDGED, CallState
from telephony.runtime.lock import ProcessLock

log = logging.getLogger("telephony")

#: So many events of a call whose id is not known yet are kept for the record.
UNNAMED_MOST = 100

#: The events that are about a time: one wrong timestamp of another is not to spoil it.
TOLD_BY = {
    "created_at": ("call_incoming", "call_initiated", "call_ringing"),
    "answered_at": ("call_answered", "agora_bridge_start"),
}

_unnamed_lock = ProcessLock()  # guards what is next
#: The gateway's first words of our own dials have no id: kept until an event of the call has.
_unnamed: weakref.WeakKeyDictionary[Call, list[CallEvent]] = weakref.WeakKeyDictionary()


def write(
    event: Event, source: str, configuration: Configuration, *, kept: bool = True
) -> bool:
    """Write what *event* tells; false if it was in the database already.

    *source* is ``"websocket"`` or ``"webhook"``. Not *kept*: nobody here wanted this incoming call.
    Blocks for the database. Raises its errors, once it was tried again if that could help.
    """
    if isinstance(event, Gap):
        _again(configuration, _mark_stale, [call.call_id for call in event.stale_calls])
        return True
    if not isinstance(event, (CallEvent, CallOrphaned)) or event.call is None:
        return True
    info = event.info if isinstance(event, CallEvent) else event.call.info
    known = info.call_id or event.call.call_id
    if not known and source == "webhook" and isinstance(event, CallHangup):
        known = _again(configuration, _by_route, info)
    if not known:
        if source == "websocket" and isinstance(event, CallEvent):
            _keep(event)
        return True
    if len(known) > _length("call_id"):
        log.error("a call whose id has %d characters is not recorded", len(known))
        return True
    if source == "webhook" and isinstance(event, UnknownEvent):
        # It tells nothing of the call's state. Apart from the writing: SQLite gives up where a
        # transaction that has read comes to write.
        if not _again(configuration, _is_there, known):
            return True
    before = _kept(event.call) if source == "websocket" else []
    for earlier in before:
        _again(configuration, _write, earlier, known, source, configuration, True)
    new: bool = _again(configuration, _write, event, known, source, configuration, kept)
    return new


def leave(calls: Iterable[Call], configuration: Configuration) -> None:
    """Nothing more is heard of *calls* here: those that we hung up are over, others stale."""
    over = [call.call_id for call in calls if call.call_id and call.state is HANGUP]
    up = [call.call_id for call in calls if call.call_id and call.state is not HANGUP]
    _again(configuration, _leave, over, up)


def _leave(using: str, over: list[str], up: list[str]) -> None:
    calls = CallRecord.objects.using(using).exclude(state=HANGUP)
    now = _storable_moment(timezone.now())
    calls.filter(call_id__in=over).update(state=str(HANGUP), ended_at=now, updated_at=now)
    calls.filter(call_id__in=up).update(stale=True)


def _keep(event: CallEvent) -> None:
    with _unnamed_lock:
        waiting = _unnamed.setdefault(event.call, [])
        if len(waiting) < UNNAMED_MOST:
            waiting.append(event)


def _kept(call: Call) -> list[CallEvent]:
    with _unnamed_lock:
        return _unnamed.pop(call, [])


def _again(configuration: Configuration, step: Any, *args: Any) -> Any:
    """Do *step* with the database's alias, and once more if the database was gone, or busy."""
    using = configuration.database or router.db_for_write(CallRecord)
    try:
        with transaction.atomic(using=using):
            return step(using, *args)
    except (OperationalError, InterfaceError):
        if connections[using].in_atomic_block:  # the caller's, which is broken now
            raise
        connections[using].close()
    with transaction.atomic(using=using):
        return step(using, *args)


def _by_route(using: str, info: CallInfo) -> str:
    """The id of the one call that is up in this channel: an A-leg's end may come without one."""
    if not (info.channel and info.uid):
        return ""
    route = {"channel": info.channel, "uid": info.uid}
    if info.app_id:
        route["app_id"] = info.app_id
    up = CallRecord.objects.using(using).exclude(state=HANGUP).filter(**route)
    found = list(up.values_list("call_id", flat=True)[:2])
    return found[0] if len(found) == 1 else ""


def _is_there(using: str, call_id: str) -> bool:
    there: bool = CallRecord.objects.using(using).filter(call_id=call_id).exists()
    return there


def _mark_stale(using: str, call_ids: list[str]) -> None:
    calls = CallRecord.objects.using(using).exclude(state=HANGUP)
    calls.filter(call_id__in=call_ids).update(stale=True)


def _write(
    using: str,
    event: CallEvent | CallOrphaned,
    call_id: str,
    source: str,
    configuration: Configuration,
    kept: bool,
) -> bool:
    record = _locked(using, call_id)
    new = _add(using, record, event, source, configuration)
    info = event.info if isinstance(event, CallEvent) else event.call.info
    if new or source == "websocket":  # what came over the WebSocket is in order
        _move(record, event, info)
    _fill(record, event, info, source)
    if source == "websocket" and event.call.state is HANGUP:
        record.state = str(HANGUP)  # we hung up, or rejected it: over, whatever is told later
        record.ended_at = record.ended_at or _storable_moment(timezone.now())
    if new:
        record.stale = False
    if source == "websocket" and not event.call.active and record.state != HANGUP:
        record.stale = True  # the client was closed meanwhile
    if isinstance(event, CallIncoming) and record.state == INCOMING:
        # Of a call that others may have taken nothing more is told here.
        record.stale = record.stale or not (kept or event.call._claimed)
    record.save(using=using)
    return new


def _locked(using: str, call_id: str) -> Any:
    """The call's row, made if need be, and locked until the transaction ends."""
    calls = CallRecord.objects.using(using)
    # To write first takes SQLite's lock, too: it has no other, and gives up at once when a
    # transaction that has read wants to write while another does.
    if connections[using].features.supports_ignore_conflicts:
        calls.bulk_create([CallRecord(call_id=call_id)], ignore_conflicts=True)
    else:
        calls.get_or_create(call_id=call_id)
    return calls.select_for_update().get(call_id=call_id)


def _add(
    using: str,
    record: Any,
    event: CallEvent | CallOrphaned,
    source: str,
    configuration: Configuration,
) -> bool:
    """Add the event's row; false if the database has it."""
    by = f"by_{source}"
    base = _fingerprint(event, with_digits=configuration.record_digits)
    same = CallEventRecord.objects.using(using).filter(
        call=record, fingerprint__startswith=f"{base}:"
    )
    # Two equal key presses are two. The second that this source tells of is the second of the
    # other source, too. So with what has no time to be told apart by.
    counted = isinstance(event, DtmfReceived) or event.timestamp is None
    number = same.filter(**{by: True}).count() if counted else 0
    fingerprint = f"{base}:{number}"
    row = same.filter(fingerprint=fingerprint).first()
    if row is not None:
        if not getattr(row, by):
            setattr(row, by, True)
            row.echo = row.echo or getattr(event, "echo", False)
            row.save(using=using, update_fields=[by, "echo"])
        return False
    digits = _storable(getattr(event, "digits", ""))
    CallEventRecord.objects.using(using).create(
        call=record,
        name=_cut(CallEventRecord, "name", event.name),
        timestamp=_storable_moment(moment_of({"timestamp": event.timestamp})),
        digits=digits if configuration.record_digits else wire.MASK if digits else "",
        echo=getattr(event, "echo", False),
        reason=_storable(getattr(event, "reason", "")),
        raw=_shown(event, configuration),
        fingerprint=fingerprint,
        **{by: True},
    )
    return True


def _fingerprint(event: CallEvent | CallOrphaned, *, with_digits: bool) -> str:
    raw = event.raw
    parts = [event.name, repr(event.timestamp)]
    names = ["channel", "uid", "reason", "rebridge"]
    if with_digits or not isinstance(event, DtmfReceived):  # a hash of few digits hides nothing
        names.append("digits")
    parts += [wire.text_of(raw.get(name)) for name in names]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:40]


def _move(record: Any, event: CallEvent | CallOrphaned, info: CallInfo) -> None:
    """Move the record's state, unless the event is late."""
    at = _storable_moment(moment_of({"timestamp": event.timestamp}))
    if not record.state:
        record.state = str(info.state)
    else:
        after = TRANSITIONS.get(event.name, {}).get(CallState(record.state))
        if after is None:
            return
        late = at is not None and record.state_at is not None and at < record.state_at
        if late and after is not HANGUP and record.state in (BRIDGED, UNBRIDGED):
            return  # these two alternate: only the time tells which was last
        record.state = str(after)
    if isinstance(event, BridgeStarted):
        record.channel = _cut(CallRecord, "channel", info.channel) or record.channel
        record.uid = _cut(CallRecord, "uid", info.uid) or record.uid
    if event.name in TRANSITIONS and at is not None:
        record.state_at = at


def _fill(record: Any, event: CallEvent | CallOrphaned, info: CallInfo, source: str) -> None:
    """Fill in what is empty; times become the earliest that an event tells which is about them."""
    if not record.state:
        record.state = str(info.state)
    for field, value in (
        ("direction", info.direction),
        ("from_number", wire.shown(info.from_)),
        ("to_number", wire.shown(info.to)),
        ("channel", info.channel),
        ("uid", info.uid),
        ("app_id", info.app_id),
        ("hangup_cause", info.hangup_cause or ""),
        ("sip_disposition", info.sip_disposition or ""),
    ):
        if not getattr(record, field):
            setattr(record, field, _cut(CallRecord, field, value))
    if (record.direction, info.direction) == ("outbound", "outbound_sip"):
        record.direction = info.direction
    record.video = record.video or info.video
    for field in ("duration", "billsec"):
        if getattr(record, field) is None:
            setattr(record, field, getattr(info, field))
    for field, events in TOLD_BY.items():
        told, there = _storable_moment(getattr(info, field)), getattr(record, field)
        if told is None:
            continue
        if there is None and source == "websocket":  # what the client knows of the whole call
            setattr(record, field, told)
        elif event.name in events and (there is None or told < there):
            setattr(record, field, told)
    if isinstance(event, CallHangup):
        record.ended_at = _storable_moment(info.ended_at) or record.ended_at


def _length(field: str) -> int:
    length: int = CallRecord._meta.get_field(field).max_length
    return length


def _cut(model: Any, field: str, value: str) -> str:
    """*value* as the column takes it."""
    return _storable(value)[: model._meta.get_field(field).max_length]


def _storable(text: str) -> str:
    """*text* without what some databases refuse."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _storable_moment(moment: datetime | None) -> datetime | None:
    """An aware time as the project's databases take it."""
    if moment is None or settings.USE_TZ or timezone.is_naive(moment):
        return moment
    try:
        naive: datetime = timezone.make_naive(moment)
        return naive
    except (OverflowError, ValueError):  # at the ends of the calendar
        return None


def _shown(event: Event, configuration: Configuration) -> Any:
    """The frame, without secrets and what no JSON column takes."""
    try:
        frame = wire.masked(
            wire.encode(dict(event.raw)), wire.Secrets(configuration.auth_token)
        )
    except ProtocolError as error:
        return {"event": _storable(event.name), "left out": str(error)}
    if "digits" in frame and not configuration.record_digits:
        frame["digits"] = wire.MASK
    return _plain(frame)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, dict):
        return {_storable(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
