"""``telephony check``: which step fails, and what to do."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from telephony.sandbox import Sandbox
from tests.cli.programs import TELEPHONY, account, environment, run

CHECK = [*TELEPHONY, "check"]


def checked(env: dict[str, str], *options: str) -> tuple[int, list[str], dict[str, Any]]:
    """Exit code, the steps that passed, and the last object."""
    code, lines, _ = run([*CHECK, *options], env)
    objects = [json.loads(line) for line in lines]
    passed = [found["phase"] for found in objects[:-1] if found["ok"]]
    return code, passed, objects[-1]


def test_all_well(cm: Sandbox) -> None:
    """Every step passed; session and latency are told, the token is not."""
    code, passed, last = checked(account(cm))

    assert 0 == code
    assert ["dns", "tcp", "upgrade", "register"] == passed
    assert (True, "cli-test", True) == (last["ok"], last["client_id"], bool(last["session_id"]))
    assert 0 < last["connect_ms"]
    assert cm.auth_token.split()[1] not in json.dumps(last)


def test_all_well_on_a_terminal(cm: Sandbox) -> None:
    """People see one line a step and a last one with the session."""
    code, lines, _ = run(CHECK, account(cm), terminal=True)

    assert 0 == code
    assert ["dns ok", "tcp ok", "upgrade ok", "register ok"] == [
        " ".join(line.split()) for line in lines[:4]
    ]
    assert "registered as cli-test in" in lines[4]


def test_a_name_that_is_not_found() -> None:
    """The step is dns."""
    env = environment(CM_HOST="nowhere.invalid", AUTH_TOKEN="Basic eA==", APPID="app")
    code, passed, last = checked(env)

    assert (1, [], "dns") == (code, passed, last["phase"])
    assert "nowhere.invalid" in last["error"]
    assert "CM_HOST" in last["advice"]


def test_a_port_where_nobody_listens() -> None:
    """The step is tcp, and dns passed."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        port = taken.getsockname()[1]
        env = environment(CM_HOST=f"ws://127.0.0.1:{port}", AUTH_TOKEN="Basic eA==", APPID="app")
        code, passed, last = checked(env)

    assert (1, ["dns"], "tcp") == (code, passed, last["phase"])
    assert f"127.0.0.1:{port}" in last["error"]


def test_a_port_that_does_not_speak_tls(cm: Sandbox) -> None:
    """The step is tls."""
    code, passed, last = checked(account(cm) | {"CM_HOST": f"wss://127.0.0.1:{cm.port}"})

    assert (1, ["dns", "tcp"], "tls") == (code, passed, last["phase"])


def test_a_path_that_is_not_the_call_managers(cm: Sandbox) -> None:
    """The step is upgrade, with the HTTP status."""
    code, passed, last = checked(account(cm) | {"CM_HOST": f"ws://127.0.0.1:{cm.port}/nothing"})

    assert (1, ["dns", "tcp"], "upgrade") == (code, passed, last["phase"])
    assert 404 == last["status_code"]


def test_a_proxy_that_refuses() -> None:
    """The step is proxy, and the advice names its variables."""
    with socket.create_server(("127.0.0.1", 0)) as proxy:

        def refuse() -> None:
            connection, _ = proxy.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        env = environment(
            CM_HOST="nowhere.invalid",
            AUTH_TOKEN="Basic eA==",
            APPID="app",
            https_proxy=f"http://127.0.0.1:{proxy.getsockname()[1]}",
        )
        code, passed, last = checked(env)
        thread.join(10)

    assert (1, [], "proxy") == (code, passed, last["phase"])
    assert (403, True) == (last["status_code"], "PROXY" in last["advice"])


@pytest.mark.parametrize("variable", ["AUTH_TOKEN", "APPID"])
def test_credentials_that_are_refused(cm: Sandbox, variable: str) -> None:
    """The step is register, and the wrong secret is not repeated."""
    code, passed, last = checked(account(cm) | {variable: "Basic d3JvbmctdG9rZW4="})

    assert (1, ["dns", "tcp", "upgrade"], "register") == (code, passed, last["phase"])
    assert "unauthorized" in last["error"]
    assert "AUTH_TOKEN" in last["advice"]
    assert variable == "APPID" or "d3JvbmctdG9rZW4=" not in json.dumps(last)


def test_a_call_manager_that_says_nothing(cm: Sandbox) -> None:
    """The time given is all it takes, and the step is the one that waited."""
    cm.silence()
    code, _, last = checked(account(cm), "--timeout", "0.5")
    cm.silence(False)

    assert (1, False) == (code, last["ok"])
    assert last["phase"] in ("upgrade", "register")


def test_a_failure_on_a_terminal() -> None:
    """People read which step failed, why, and what to do."""
    env = environment(CM_HOST="nowhere.invalid", AUTH_TOKEN="Basic eA==", APPID="app")
    code, lines, _ = run(CHECK, env, terminal=True)

    assert 1 == code
    assert ["dns", "FAILED"] == lines[0].split()
    assert lines[1].startswith("cannot reach nowhere.invalid")
    assert lines[2].startswith("what to do: ")


def test_json_on_a_terminal_when_asked_for(cm: Sandbox) -> None:
    """``--json`` holds on a terminal too."""
    code, lines, _ = run([*CHECK, "--json"], account(cm), terminal=True)

    assert 0 == code
    assert ["step"] * 4 + ["check"] == [json.loads(line)["event"] for line in lines]


def test_from_another_folder(cm: Sandbox, tmp_path: Path) -> None:
    """It needs nothing of the checkout it was started from."""
    code, _, _ = run(CHECK, account(cm), cwd=tmp_path)

    assert 0 == code
