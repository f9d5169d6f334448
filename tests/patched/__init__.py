"""The core's tests once more, in a process patched by gevent: ``python -m tests.patched``.

Needs gevent. The client, the servers of the tests and the sandbox all run on greenlets in this
one process, over real sockets. Arguments go to pytest; without paths among them it runs `SUITE`.
An ordinary pytest collects nothing here.
"""

#: What is run: all that uses threads, sockets, locks or time. ``telephony.protocol`` is pure, and
#: its own tests would show nothing here; the core runs it all the same.
SUITE = [
    "tests/patched",
    "tests/unit/runtime",
    "tests/unit/sandbox",
    "tests/unit/test_call.py",
    "tests/unit/test_client.py",
    "tests/unit/test_handlers.py",
    "tests/regression",
    "tests/load",
]

#: Tests that cannot hold on greenlets, by node id (or its beginning), each with the reason.
LEFT_OUT: dict[str, str] = {
    "tests/regression/test_11_snapshots.py::test_readers_never_see_half_a_change": (
        "its readers never wait, and what never waits lets no other greenlet run"
    ),
    "tests/unit/runtime/test_transport_parts.py::TestOutbox::test_interrupted_system_call": (
        "gevent's sockets block in Python, not in a system call, which is what it is about"
    ),
    "tests/regression/test_fork.py::test_callbacks_in_a_child": (
        "a fork copies all greenlets: the copy of the test's server takes the child's connection"
        " (test_forks has the server in a process of its own)"
    ),
}
