"""The file a session is recorded in: written, kept private, bounded, and read back."""

from __future__ import annotations

import json
import logging
import os
import threading

import pytest

import telephony
from telephony import InvalidArgumentError
from telephony.recording import Disguise, Recorder, RecordingError, read
from tests import canary
from tests.conftest import DIAL
from tests.regression.test_fork import Child
from tests.scripted import Running

EVENT = {"event": "call_ringing", "callid": "id-1"}


@pytest.fixture
def path(tmp_path):
    """Where to record."""
    return tmp_path / "incident.jsonl"


def lines_of(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_a_session(cm, path):
    """All frames, and when the client was registered, in order; no secret among them."""
    with Recorder(path) as recorder, cm.client(hooks=recorder) as client:
        client.dial(**DIAL).hangup()
    head, *lines = lines_of(path)
    assert ("telephony-recording", 1, telephony.__version__) == (
        head["format"], head["version"], head["library"]
    )
    assert (True, True) == (head["numbers"], head["digits"])
    assert ["received", "sent", "received", "connected", "sent"] == [
        line["what"] for line in lines[:5]
    ]
    assert "disconnected" == lines[-1]["what"]
    assert ["register", "outbound", "endcall"] == [
        line["frame"]["action"] for line in lines if line["what"] == "sent"
    ]
    times = [line["at"] for line in lines]
    assert sorted(times) == times
    text = path.read_text("utf-8")
    assert [] == [mark for mark in canary.MARKS if mark in text]
    assert "+18005551234" in text


def test_the_app_id_for_a_token(cm, path):
    """Some projects take it for one; it is no secret, and stays what it is everywhere."""
    dial = {**DIAL, "token": cm.app_id}
    with Recorder(path) as recorder, cm.client(hooks=recorder) as client:
        client.dial(**dial).hangup()
    [outbound] = [
        line["frame"] for line in lines_of(path)[1:]
        if line.get("frame", {}).get("action") == "outbound"
    ]
    assert ("***", cm.app_id) == (outbound["token"], outbound["appid"])


def test_two_clients_of_one_recorder(cm, path, caplog):
    """It is said when it happens, once; not when it is too late."""
    with Recorder(path) as recorder:
        for _ in range(3):
            with cm.client(hooks=recorder):
                pass
    told = [record for record in caplog.records if "is of two clients" in record.getMessage()]
    assert 1 == len(told)


def test_only_its_owner_can_read_it(path):
    """Whatever the umask: it is about phone calls."""
    before = os.umask(0)
    try:
        Recorder(path).close()
    finally:
        os.umask(before)
    assert 0o600 == path.stat().st_mode & 0o777


def test_it_is_complete_while_it_is_written(path):
    """Nothing waits in a buffer for an end that may not come."""
    with Recorder(path) as recorder:
        recorder.frame_received(EVENT)
        assert [EVENT] == [entry.frame for entry in read(path).entries]


def test_nothing_is_written_after_its_end(path):
    """A client may outlive its recorder; both may be closed twice."""
    recorder = Recorder(path)
    recorder.close()
    size = path.stat().st_size
    recorder.frame_received(EVENT)
    recorder.connected(True)
    recorder.close()
    assert size == path.stat().st_size


@pytest.mark.parametrize("name, why", [
    ("no/such/folder", "No such file or directory"),
    ("", "Is a directory|exists"),
    ("there", "it exists, and a recording is never written over"),
    ("a\0b", "embedded null"),
])
def test_a_file_that_cannot_be_made(tmp_path, name, why):
    """It is said when the recorder is made, not when the incident is there."""
    (tmp_path / "there").write_text("the last incident")
    with pytest.raises(InvalidArgumentError, match=f"path: cannot record to .*: .*({why})"):
        Recorder(tmp_path / name)
    assert "the last incident" == (tmp_path / "there").read_text()


@pytest.mark.parametrize("most", [0, -1, True, 1.5, None])
def test_what_is_no_size(path, most):
    """Nothing is made of it."""
    with pytest.raises(InvalidArgumentError, match="max_bytes"):
        Recorder(path, max_bytes=most)
    assert not path.exists()


def test_a_file_that_is_full(path, caplog):
    """It ends with a line that says so, once, and is not opened again."""
    with Recorder(path, max_bytes=400) as recorder:
        for _ in range(100):
            recorder.frame_received(EVENT)
        recorder.disconnected()
    lines = lines_of(path)
    assert "full" == lines[-1]["what"]
    assert {"received"} == {line["what"] for line in lines[1:-1]}
    assert 300 < path.stat().st_size < 450
    assert 1 == len([r for r in caplog.records if "is full" in r.getMessage()])


def test_a_file_that_is_full_at_once(path):
    """It can be read all the same."""
    with Recorder(path, max_bytes=1) as recorder:
        recorder.frame_received(EVENT)
    assert ["full"] == [entry.what for entry in read(path).entries]


def test_a_recorder_that_is_forgotten(path):
    """Its file is closed with it."""
    recorder = Recorder(path)
    assert f"<Recorder to {path}>" == repr(recorder)
    descriptor = recorder._file
    del recorder
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_a_disk_that_is_full(path, caplog, cm):
    """The client works on; it is logged, once."""
    with Recorder(path) as recorder, cm.client(hooks=recorder) as client:
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, recorder._file)
        os.close(full)
        client.dial(**DIAL).hangup()
        assert client.connected
    said = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert [f"the recording {path} ends here: No space left on device"] == said


def test_many_threads(path):
    """Each line is whole."""
    with Recorder(path) as recorder:
        gate = threading.Barrier(8)

        def write():
            gate.wait(10)
            for number in range(50):
                recorder.frame_sent({"action": "x" * number})

        for each in [Running(write) for _ in range(8)]:
            each.result()
    assert 400 == len(read(path).entries)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_writes_nothing(path):
    """The parent's file is the parent's, even when the fork comes in the middle of a line."""
    with Recorder(path) as recorder:
        held, go = threading.Event(), threading.Event()

        def hold():
            with recorder._lock:
                held.set()
                go.wait(10)

        holding = Running(hold)
        held.wait(10)
        child = Child(lambda: [recorder.frame_sent({"action": "child"}), recorder.close()])
        try:
            child.result()
        finally:
            go.set()
            holding.result()
        recorder.frame_sent({"action": "parent"})
    assert [{"action": "parent"}] == [entry.frame for entry in read(path).entries]


# --- privacy -----------------------------------------------------------------------------


@pytest.mark.parametrize("frame, expected", [
    ({"to": "+1 (800) 555-1234"}, {"to": "+1 (555) 000-0001"}),
    ({"to": "+18005551234;dtmf=12#4"}, {"to": "+15550000001;dtmf=12#4"}),
    ({"to": "#31#18005551234"}, {"to": "#31#15550000001"}),
    ({"to": "sip:18005551234@trunk"}, {"to": "sip:15550000001@trunk"}),
    ({"to": "911"}, {"to": "001"}),
    ({"to": 18005551234}, {"to": "15550000001"}),
    ({"numbers": ["+18005551234", ""]}, {"numbers": ["+15550000001", ""]}),
    ({"channel": "call-+18005551234"}, {"channel": "call-+15550000001"}),
    ({"sip_headers": {"P-Asserted-Identity": "<sip:+18005551234@h>"}},
     {"sip_headers": {"P-Asserted-Identity": "<sip:+15550000001@h>"}}),
    ({"callid": "12345678-1234-1234-1234-123456789012"},
     {"callid": "12345678-1234-1234-1234-123456789012"}),
    ({"timestamp": "1700000000", "uid": "100", "duration": "12", "video": False},
     {"timestamp": "1700000000", "uid": "100", "duration": "12", "video": False}),
    ({"digits": "4111111111111111"}, {"digits": "4111111111111111"}),
])  # fmt: skip
def test_numbers_are_replaced(frame, expected):
    """Wherever they stand, by ones of the same length; what is no number stays."""
    assert expected == Disguise(numbers=False, digits=True)(frame)


def test_a_number_is_replaced_by_the_same_one_everywhere():
    """However it is written; another number by another one."""
    disguise = Disguise(numbers=False, digits=True)
    dialled = disguise({"to": "+18005551234", "from": "+15551234567"})
    event = disguise({"to": "18005551234", "callid": "APP:room-15551234567:1"})
    assert dialled["to"] == f"+{event['to']}"
    assert f"APP:room-{dialled['from'][1:]}:1" == event["callid"]
    assert dialled["to"] != dialled["from"]


@pytest.mark.parametrize("frame, expected", [
    ({"digits": "1234#"}, {"digits": "0000#"}),
    ({"digits": 5, "pin": "42"}, {"digits": "0", "pin": "00"}),
    ({"to": "+18005551234;dtmf=12#4"}, {"to": "+18005551234;dtmf=00#0"}),
    ({"to": "+18005551234#1234"}, {"to": "+18005551234#0000"}),
])  # fmt: skip
def test_digits_are_replaced(frame, expected):
    """Each by a 0, so that as many are collected."""
    assert expected == Disguise(numbers=True, digits=False)(frame)


def test_the_file_says_what_was_replaced(path, cm):
    """And none of it is in there."""
    with Recorder(path, numbers=False, digits=False) as recorder:
        with cm.client(hooks=recorder) as client:
            with client.dial(**DIAL) as call:
                call.send_dtmf("4711")
    found = read(path)
    assert (False, False) == (found.numbers, found.digits)
    text = path.read_text("utf-8")
    assert [] == [real for real in ("8005551234", "5551234567", "4711") if real in text]


# --- reading -----------------------------------------------------------------------------

HEAD = '{"format":"telephony-recording","version":1}\n'


@pytest.mark.parametrize("text, why", [
    ("", "line 1: is not the beginning of a telephony recording"),
    ("{}\n", "line 1: is not the beginning of a telephony recording"),
    ("nothing\n", "line 1: is not JSON"),
    ('{"format":"telephony-recording","version":2,"library":"9.0"}\n',
     "line 1: is of version 2, by library 9.0; this one reads version 1"),
    (HEAD + "[]\n", "line 2: is not a JSON object"),
    (HEAD + "\n{\n", "line 3: is not JSON"),
    (HEAD + '{"what":"sent","frame":{"action":"x"}}\n', "line 2: has no time"),
    (HEAD + '{"at":-1,"what":"sent","frame":{"action":"x"}}\n', "line 2: has no time"),
    (HEAD + '{"at":1,"what":"received"}\n', "line 2: says received and has no frame"),
    (HEAD + '{"at":1,"what":"sent","frame":{"a":1}}\n', "line 2: has a command without an action"),
    (HEAD + '{"at":1,"what":"se', "line 2: is cut off; without it the rest can be read"),
])  # fmt: skip
def test_what_cannot_be_read(path, text, why):
    """The error names file and line."""
    path.write_text(text)
    with pytest.raises(RecordingError) as raised:
        read(path)
    assert str(raised.value).startswith(f"{path}, {why}")


def test_a_file_that_is_not_there(path):
    """The system's words, and the name."""
    with pytest.raises(RecordingError, match="incident.jsonl: cannot be read: No such file"):
        read(path)


def test_what_a_newer_library_adds_is_passed_over(path):
    """Other kinds of lines, and other keys."""
    path.write_text(HEAD + '{"at":1,"what":"news"}\n{"at":2,"what":"connected","more":1}\n')
    (entry,) = read(path).entries
    assert (3, 2.0, "connected") == (entry.line, entry.at, entry.what)
