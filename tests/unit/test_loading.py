"""What is loaded when: ``import telephony`` costs next to nothing until a name is used.

Each of these looks at a fresh interpreter, and counts modules rather than seconds.
"""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import telephony

PACKAGE = Path(telephony.__file__)

#: All of our own that may come with the package itself.
FIRST = {"telephony", "telephony._version"}

#: Modules for rare paths, or that bring in dozens of others; they come when they are wanted.
RARE = {"email", "http.client", "urllib.request", "tempfile", "asyncio", "subprocess"}

#: What extras bring, or only tests have; `orjson` is asked for by whoever has it.
OPTIONAL = {
    "aiohttp", "celery", "django", "docutils", "flask", "gevent", "greenlet", "gunicorn",
    "hypothesis", "prometheus_client", "pytest", "rich", "shtab", "sphinx", "trustme", "websockets",
}  # fmt: skip


def run(code: str) -> typing.Any:
    """What *code* prints, as JSON, in an interpreter of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


def loaded(statement: str, before: str = "pass") -> set[str]:
    """The modules that *statement* loads, after *before*."""
    return set(run(
        f"import json, sys\n{before}\nthere = set(sys.modules)\n{statement}\n"
        "print(json.dumps(sorted(set(sys.modules) - there)))"
    ))


def named() -> dict[str, str]:
    """The names that type checkers see, and the modules they are told to find them in."""
    source = ast.parse(PACKAGE.read_text(encoding="utf-8"))
    (block,) = (
        node for node in source.body
        if isinstance(node, ast.If) and "TYPE_CHECKING" == ast.unparse(node.test)
    )
    return {
        alias.asname or alias.name: str(node.module)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_the_package_alone():
    """No WebSocket library, no TLS, no attrs, and nothing of our own but the version."""
    came = loaded("import telephony")
    assert FIRST == {name for name in came if name.startswith("telephony")}
    heavy = {"websocket", "ssl", "socket", "attr", "attrs", "logging", "json.decoder", "datetime"}
    assert set() == came & heavy
    roots = {name.partition(".")[0] for name in came}
    assert set() == roots - {"telephony", *sys.stdlib_module_names}


def test_the_pytest_plugin():
    """Every pytest run on the machine loads it: four modules, of a page in all."""
    came = loaded("import telephony.testing.plugin", before="import pytest")
    assert {*FIRST, "telephony.testing", "telephony.testing.plugin"} == came


def test_the_client():
    """It comes without what only rare paths need."""
    came = loaded("import telephony; telephony.Client", before="import websocket, attr")
    assert "telephony.client" in came
    assert set() == came & RARE


def test_an_error():
    """A name brings in what it needs, and no more."""
    came = loaded("from telephony import TelephonyError")
    assert {*FIRST, "telephony.errors"} == {n for n in came if n.startswith("telephony")}


def test_all_of_it():
    """No name of the package brings in what is optional, though the tests have it all installed."""
    came = loaded("import telephony; [getattr(telephony, name) for name in telephony.__all__]")
    roots = {name.partition(".")[0] for name in came}
    assert {"attr", "attrs", "websocket"} <= roots
    assert set() == roots & OPTIONAL


def test_the_names_are_those_that_type_checkers_see():
    """The imports for them, ``__all__`` and what is found at run time agree."""
    assert sorted(telephony.__all__) == sorted([*named(), "__version__"])


@pytest.mark.parametrize("name, module", named().items(), ids=list(named()))
def test_a_name(name, module):
    """It is found, is where type checkers are told, and is found without us from then on."""
    assert getattr(importlib.import_module(module), name) is getattr(telephony, name)
    assert vars(telephony)[name] is getattr(telephony, name)


def test_the_names_can_be_listed():
    """By ``dir``, and by a star, before any of them is loaded."""
    assert set() == set(telephony.__all__) - set(run(
        "import json, telephony; print(json.dumps(dir(telephony)))"
    ))
    assert sorted(telephony.__all__) == run(
        "import json\nbefore = {*globals(), 'before'}\nfrom telephony import *\n"
        "print(json.dumps(sorted({*globals()} - before)))"
    )


def test_a_name_that_does_not_exist():
    """The words are Python's own."""
    for name in ("client_", "_nothing", "__wrapped__"):
        with pytest.raises(AttributeError) as caught:
            getattr(telephony, name)
        assert f"module 'telephony' has no attribute '{name}'" == str(caught.value)
    with pytest.raises(ImportError, match="cannot import name 'Klient' from 'telephony'"):
        exec("from telephony import Klient")
    assert not hasattr(telephony, "sandbox_")


def test_modules_as_attributes():
    """``import telephony`` gives all of the core; it never gave what stands on it."""
    assert ["Hooks", "shown", "Connection", False] == run(
        "import json, telephony\n"
        "of = [telephony.hooks.Hooks, telephony.protocol.wire.shown,\n"
        "      telephony.runtime.connection.Connection]\n"
        "print(json.dumps([*(one.__name__ for one in of), hasattr(telephony, 'sandbox')]))"
    )


def test_threads_that_are_the_first_at_once():
    """All get what they asked for, and the same thing."""
    assert [1] * len(telephony.__all__) == run("""if True:
        import json, sys, threading
        sys.setswitchinterval(1e-5)
        import telephony

        names = telephony.__all__
        found = {name: [] for name in names}
        barrier = threading.Barrier(16)

        def look(first):
            barrier.wait(30)
            for name in names[first:] + names[:first]:
                found[name].append(getattr(telephony, name))

        threads = [threading.Thread(target=look, args=(i * 2,)) for i in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert all(len(things) == 16 for things in found.values()), found
        print(json.dumps([len(set(map(id, things))) for things in found.values()]))
    """)


def test_what_was_pickled_elsewhere():
    """It is read by a process that has loaded nothing yet, for an error and for a class."""
    assert ["NotSentError", "no", "Health"] == run("""if True:
        import json, pickle, subprocess, sys
        made = subprocess.run(
            [sys.executable, "-c", "import pickle, sys, telephony; sys.stdout.buffer.write("
             "pickle.dumps([telephony.NotSentError('no'), telephony.Health]))"],
            capture_output=True, check=True,
        ).stdout
        import telephony
        error, kind = pickle.loads(made)
        assert type(error) is telephony.NotSentError and kind is telephony.Health
        print(json.dumps([type(error).__name__, str(error), kind.__name__]))
    """)


def test_annotations_can_be_read():
    """They name what their own modules know, however those were loaded."""
    hints = typing.get_type_hints(telephony.Client.calls)
    assert list[telephony.Call] == hints["return"]
    assert bool == typing.get_type_hints(telephony.Health)["connected"]
