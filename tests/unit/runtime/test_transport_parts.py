"""The parts of the transport that need no network: cutting frames, and the order of sending."""

from __future__ import annotations

import contextlib
import random
import signal
import socket
import subprocess
import sys
import threading

import pytest

from telephony.runtime import frames
from telephony.runtime.outbox import LEFT, MAX_POSTED_FRAMES, Frame, Outbox
from tests.unit.runtime.transport_peers import BINARY, PING, PONG, close_frame, frame

FORKS = """
import os
from telephony.runtime import frames
frames.encode(1, b"")
child = os.fork()
os.write(1, frames.encode(1, b"")[2:6].hex().encode() + b" ")  # in one piece
if child:
    os.waitpid(child, 0)
"""


class TestFrameReader:
    def reader(self):
        return frames.FrameReader(1 << 20, 1000)

    def test_cut_anywhere(self):
        """However the bytes are cut, the same comes out."""
        data = b"".join([
            frame(b"one"), frame(b"a", PING), frame(b"x" * 126), frame(b"y" * 70000, fin=False),
            frame(b"b", PING), frame(b"z" * 200, 0), frame(b"", PONG), frame(b"\xff", BINARY),
            frame(b""), close_frame(1000), b"what comes after is not looked at",
        ])
        expected = ["one", "x" * 126, "y" * 70000 + "z" * 200, b"\xff", ""]
        chance = random.Random(1)
        for longest in (1, 2, 3, 10, 1000, 100_000):
            reader, messages, place = self.reader(), [], 0
            while place < len(data):
                size = chance.randint(1, longest)
                messages += reader.feed(data[place:place + size])
                place += size
            assert expected == messages
            assert [b"a", b"b"] == reader.pings
            assert 1000 == reader.end.goodbye

    def test_what_waits_is_bounded(self):
        """After an end nothing is kept, whatever comes."""
        reader = self.reader()
        assert [] == reader.feed(frame(b"x", 0))
        assert [] == reader.feed(b"y" * 100_000)
        assert reader.end.protocol_error
        assert 0 == len(reader._buffer)

    def test_garbage_never_raises(self):
        """Random bytes give messages or an end, never an exception."""
        chance = random.Random(2)
        for _ in range(3000):
            reader = frames.FrameReader(1000, 10)
            for _ in range(5):
                start = bytes([chance.choice((0x81, 0x01, 0x80, 0x89, 0x88, 0x82, 0x00))])
                reader.feed(start + chance.randbytes(chance.randint(0, 40)))

    def test_a_forked_child_has_keys_of_its_own(self):
        """Those that are at hand are the parent's."""
        ran = subprocess.run(
            [sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=60
        )
        keys = ran.stdout.split()
        assert 2 == len(keys), ran.stderr
        assert keys[0] != keys[1]

    def test_encode_masks_with_a_new_key(self):
        """Two equal texts differ on the wire, and are not readable there."""
        first, second = frames.encode(1, b"hello" * 9), frames.encode(1, b"hello" * 9)
        assert first != second
        assert b"hello" not in first


class Socket:
    """Takes ``room`` bytes."""

    def __init__(self, room):
        self.room = room
        self.data = b""

    def send(self, data):
        if not self.room:
            raise BlockingIOError
        piece = bytes(data[:self.room])
        self.room -= len(piece)
        self.data += piece
        return len(piece)


def put(outbox, data, owned=True):
    one = Frame(data, owned=owned)
    outbox.put(one)
    return one


class TestOutbox:
    def test_all_leaves_in_order(self):
        """Whatever is in line leaves together."""
        outbox, sock = Outbox(), Socket(100)
        all_of_them = [put(outbox, data) for data in (b"ab", b"cd", b"ef")]
        outbox.flush(sock.send, None)
        assert b"abcdef" == sock.data
        assert [LEFT] * 3 == [one.place for one in all_of_them]
        assert not outbox

    def test_which_has_begun(self):
        """Of three frames under way together it is known which have begun."""
        outbox, sock = Outbox(), Socket(3)
        ab, cd, ef = put(outbox, b"ab"), put(outbox, b"cd"), put(outbox, b"ef")
        outbox.flush(sock.send, None)
        assert [True, True, False] == [outbox.begun(one) for one in (ab, cd, ef)]

    def test_taken_back(self):
        """A frame in line can be taken back; one that began to leave cannot."""
        outbox, sock = Outbox(), Socket(1)
        ab = put(outbox, b"ab")
        outbox.flush(sock.send, None)
        cd = put(outbox, b"cd")
        outbox.disown(cd)
        outbox.disown(ab)
        ef = put(outbox, b"ef")
        sock.room = 100
        outbox.flush(sock.send, None)
        assert b"abef" == sock.data
        assert LEFT == ef.place
        assert not outbox

    def test_interrupted_system_call(self):
        """A call that Ctrl-C ended has sent nothing: the frame is still there, and whole."""

        def interrupt(*_):
            raise KeyboardInterrupt

        near, far = socket.socketpair()
        near.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while near.send(bytes(1 << 16)):
                pass
        near.settimeout(None)  # now a send blocks, until the signal
        before = signal.signal(signal.SIGUSR1, interrupt)
        outbox, sock = Outbox(), Socket(100)
        one = put(outbox, b"ab")
        main, over = threading.main_thread().ident, threading.Event()

        def send_signals():  # more than one: the first can come before the call has begun
            while not over.wait(0.02):
                signal.pthread_kill(main, signal.SIGUSR1)

        sender = threading.Thread(target=send_signals)
        try:
            with pytest.raises(KeyboardInterrupt):
                try:
                    sender.start()
                    outbox.flush(near.send, None)
                finally:
                    over.set()
        finally:
            sender.join()
            signal.signal(signal.SIGUSR1, before)
            near.close()
            far.close()
        assert not outbox.torn
        assert not outbox.begun(one)
        outbox.flush(sock.send, None)
        assert b"ab" == sock.data

    def test_interrupted_send_in_python(self):
        """Under gevent a send is Python: when it is interrupted nobody knows what has left."""
        outbox = Outbox()

        def send(data):
            raise KeyboardInterrupt

        one = put(outbox, b"ab")
        with pytest.raises(KeyboardInterrupt):
            outbox.flush(send, None)
        assert outbox.torn
        assert outbox.begun(one)

    def test_interrupted_encryption(self):
        """An interrupt while a TLS record is made is remembered: nobody knows what is in it."""
        outbox, sock = Outbox(), Socket(100)

        def encrypt(clear):
            raise KeyboardInterrupt

        one = put(outbox, b"ab")
        with pytest.raises(KeyboardInterrupt):
            outbox.flush(sock.send, encrypt)
        assert outbox.torn
        assert outbox.begun(one)

    def test_interrupted_at_any_moment(self):
        """Whenever a signal comes, what left is known, or the outbox says that it is not."""
        inside, survived = False, 0

        def interrupt(*_):
            if inside:
                raise KeyboardInterrupt

        near, far = socket.socketpair()
        far.setblocking(False)
        before, tracer = signal.signal(signal.SIGALRM, interrupt), sys.gettrace()
        sys.settrace(None)  # coverage's keeps a lock for ever when it is interrupted itself
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
            outbox, expected = Outbox(), b""
            for number in range(200_000):
                put(outbox, b"%07d," % number)
                expected += b"%07d," % number
                try:
                    inside = True
                    outbox.flush(near.send, None)
                    inside = False
                except KeyboardInterrupt:
                    inside = False
                    if outbox.torn:
                        with contextlib.suppress(BlockingIOError):
                            far.recv(1 << 20)
                        outbox, expected = Outbox(), b""
                        continue
                    survived += 1
                    outbox.flush(near.send, None)
                assert expected == far.recv(1 << 20)
                expected = b""
                if survived == 20:
                    break
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            sys.settrace(tracer)
            signal.signal(signal.SIGALRM, before)
            near.close()
            far.close()
        assert 20 == survived

    def test_posted_frames_are_bounded(self):
        """Only frames that nobody waits for count, and they stop counting when they left."""
        outbox, sock = Outbox(), Socket(0)
        for _ in range(MAX_POSTED_FRAMES):
            assert outbox.has_room(1)
            put(outbox, b"x", owned=False)
        assert not outbox.has_room(1)
        sock.room = MAX_POSTED_FRAMES
        outbox.flush(sock.send, None)
        assert outbox.has_room(16 << 20)
        assert not outbox.has_room((16 << 20) + 1)

    def test_encrypted_together(self):
        """Of frames in one TLS record none is said not to have begun, once a byte is out."""
        outbox, sock = Outbox(), Socket(1)
        both = [put(outbox, b"ab"), put(outbox, b"cd")]
        outbox.flush(sock.send, lambda clear: b"<" + clear + b">")
        assert [True, True] == [outbox.begun(one) for one in both]
        sock.room = 100
        outbox.flush(sock.send, lambda clear: b"<" + clear + b">" if clear else b"")
        assert b"<abcd>" == sock.data
