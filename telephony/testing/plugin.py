"""The pytest plugin, there as soon as the package is installed.

``telephony_sandbox`` is a Call Manager of the test's own, on this machine, whose calls go fifty
times as fast as real ones; ``telephony_client`` is a client connected to it::

    def test_it_answers(telephony_sandbox, telephony_client):
        telephony_client.on(CallIncoming, my_service.answer)
        caller = telephony_sandbox.incoming(to="+1800…", from_="+1555…")
        assert caller.wait_accepted(timeout=5)

``telephony_environ`` has ``CM_HOST``, ``AUTH_TOKEN`` and ``APPID`` lead to the sandbox during the
test, for an app that makes its client with ``Client.from_env()``. A marker sets them up::

    @pytest.mark.telephony(dids=["+1800…"], time_scale=10, client=dict(workers=1))

It takes every keyword of `telephony.sandbox.Sandbox`, and ``client``: options of the client. On a
function, a class or a module; of several, the nearest wins for each keyword. The report of a test
that fails shows what the clients sent.

Needs ``pip install "agora-telephony[sandbox]"``, once a fixture is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Iterator, TypeVar

import pytest

if TYPE_CHECKING:  # every pytest run on the machine loads this file: it must cost nothing
    from telephony.client import Client
    from telephony.sandbox import Sandbox

T = TypeVar("T")

MARKER = "telephony"
#: How many times as fast as real ones the calls go.
TIME_SCALE = 50.0
#: So many of the frames that were sent last are shown when a test fails.
SHOWN_FRAMES = 50

_SANDBOX: pytest.StashKey[Sandbox] = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(**options): how telephony_sandbox is made, by the keywords of "
        "telephony.sandbox.Sandbox; client=dict(…): options of telephony_client",
    )


def _marked(node: pytest.Item) -> dict[str, Any]:
    """The keywords of all markers that apply to *node*, the nearest first."""
    found: dict[str, Any] = {}
    for marker in node.iter_markers(MARKER):
        if marker.args:
            given = f"not {marker.args!r}"
            pytest.fail(f"the marker {MARKER} takes keywords only, {given}", pytrace=False)
        found = {**marker.kwargs, **found}
    return found


def _made(make: Callable[..., T], options: dict[str, Any]) -> T:
    """What *make* makes of the marker's *options*; a wrong one fails the test, and says so."""
    from telephony.errors import InvalidArgumentError

    wrong = ""
    try:
        return make(**options)
    except InvalidArgumentError as error:
        wrong = str(error)
    pytest.fail(f"the marker {MARKER}: {wrong}", pytrace=False)


@pytest.fixture
def telephony_sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A Call Manager for this test, on a port of its own, with a fast clock.

    The marker ``telephony`` says how it is made.
    """
    import inspect

    from telephony.sandbox import Sandbox

    options = _marked(request.node)
    options.pop("client", None)
    known = inspect.signature(Sandbox).parameters
    for name in options:
        if name not in known:
            pytest.fail(
                f"the marker {MARKER} has no keyword {name!r}; it takes those of Sandbox "
                f"({', '.join(known)}) and client",
                pytrace=False,
            )
    scale = options.setdefault("time_scale", TIME_SCALE)
    # Whoever is to accept a call is no faster in a test: the hold is 15 s there too.
    options.setdefault("lookup_hold", 15 * scale)
    options.setdefault("cm_hold", max(30 * scale, options["lookup_hold"]))
    with _made(Sandbox, options) as sandbox:
        request.node.stash[_SANDBOX] = sandbox
        yield sandbox


@pytest.fixture
def telephony_client(
    telephony_sandbox: Sandbox, request: pytest.FixtureRequest
) -> Iterator[Client]:
    """A client connected to ``telephony_sandbox``; closed after the test.

    Callbacks that still run then are waited for, 5 s at most. The marker's keyword ``client``
    has its options.
    """
    options = _marked(request.node).get("client", {})
    if not isinstance(options, dict):
        pytest.fail(f"the marker {MARKER}: client must be a dict, not {options!r}", pytrace=False)
    client = _made(telephony_sandbox.client, options)
    try:
        client.connect()
        yield client
    finally:
        client.close(drain=5)


@pytest.fixture
def telephony_environ(
    telephony_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """``os.environ`` leads to ``telephony_sandbox`` during the test; what was set, as a dict.

    ``CM_HOST``, ``AUTH_TOKEN`` and ``APPID``; a ``CLIENT_ID`` is taken away. For another process
    pass ``{**os.environ, **telephony_environ}`` on.
    """
    environ = telephony_sandbox.environ
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("CLIENT_ID", raising=False)
    return environ


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show what the clients sent in the report of a test that failed."""
    made: Any = yield
    report = made.get_result()
    sandbox = item.stash.get(_SANDBOX, None)
    if sandbox is None or not report.failed:
        return
    from telephony.sandbox.words import command

    frames = sandbox.frames
    lines = [command(frame.get("action"), frame) for frame in frames[-SHOWN_FRAMES:]]
    before = len(frames) - len(lines)
    if before:
        lines.insert(0, f"({before} before)")
    report.sections.append(("telephony: sent by clients", "\n".join(lines) or "nothing"))
