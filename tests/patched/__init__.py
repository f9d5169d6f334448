"""The core's tests once more, in a process patched by gevent: ``python -m tests.patched``.

Needs gevent. The client, the servers of the tests and the sandbox all run on greenlets in this
one process, over real sockets. Arguments go to pytest; without paths among them it runs `SUITE`.
An ordinary pytest collects nothing here.
"""

#: What is run: all that uses threads, sockets, locks or time. ``telephony.protocol`` is pure, and
#: its own tests would show nothing here; the core runs it all the same. The sandbox serves the
#: tests from in here too; its own tests are left out, because they have two of them up at once,
#: and two event loops of asyncio cannot run on greenlets of one thread.
SUITE = [
    "tests/patched",
    "tests/unit/runtime",
    "tests/unit/test_call.py",
    "tests/unit/test_client.py",
    "tests/unit/test_handlers.py",
    "tests/regression",
    "tests/load",
]

#: Tests that cannot hold on greenlets, by node id (or its beginning), each with the reason.
LEFT_OUT: dict[str, str] = {
    "tests/unit/runtime/test_forks.py::test_a_fork_while_others_log": (
        "its threads write without a pause; greenlets that did would let nobody else run"
    ),
    "tests/regression/test_11_snapshots.py::test_readers_never_see_half_a_change": (
        "its readers never wait, and what never waits lets no other greenlet run"
    ),
    "tests/unit/runtime/test_transport_parts.py::TestOutbox::test_interrupted_system_call": (
        "gevent's sockets block in Python, not in a system call, which is what it is about"
    ),
    "tests/regression/test_05_late_answers.py::test_ctrl_c": (
        "gevent raises what a signal's handler raises in whichever greenlet runs at that moment;"
        " these need it in the one that waits"
    ),
    **{
        f"tests/regression/test_fork.py::{name}": (
            "a fork copies all greenlets: the copy of the test's server takes the child's"
            " connection (tests/patched/test_forks.py has the server in a process of its own)"
        )
        for name in (
            "test_callbacks_in_a_child",
            "test_connect_in_a_child",
            "test_a_child_of_a_client_with_a_name_made_up",
        )
    },
}
