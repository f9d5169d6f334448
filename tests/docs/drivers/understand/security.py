"""docs/understand/security.rst."""

from __future__ import annotations

import pytest

from telephony import Client, ConnectError
from tests.docs.play import Output, Play
from tests.docs.rst import Block
from tests.faults.certificates import authority, server_context


def own_authority(block: Block, play: Play, output: Output) -> None:
    """It connects to a server whose certificate nobody else trusts."""
    play.start(ssl_context=server_context())
    authority().cert_pem.write_to_path(str(play.folder / "our-authority.pem"))
    play.monkeypatch.chdir(play.folder)
    play.run(block).finish()
    assert "connected\n" == output()
    with pytest.raises(ConnectError) as refused, Client.from_env():
        pass
    assert "tls" == refused.value.phase


def masked(block: Block, play: Play, output: Output) -> None:
    """Who, where and why are printed; no secret is, also where the CM quotes one."""
    cm = play.start()
    cm.script_dial(outcome="busy", reason="no route for trunk.example;password=secret")
    play.run(block).finish()
    printed = output()
    assert cm.app_id in printed and "idle" in printed
    assert "the CM did not place the call: no route for trunk.example" in printed
    for secret in ("secret", "username=us", cm.auth_token):
        assert secret not in printed
