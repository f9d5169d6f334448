"""docs/start/going-live.rst."""

from __future__ import annotations

import stat

from tests.docs.play import Output, Play
from tests.docs.rst import Block


def env_file(block: Block, play: Play, output: Output) -> None:
    """A shell can read it, and it has all that a client from the environment needs."""
    play.write(block)
    code, lines, stderr = play.shell('. ./telephony.env; echo "$CM_HOST/$AUTH_TOKEN/$APPID"')
    assert (0, ["sipcm.agora.io/Basic …/…"]) == (code, lines), stderr


def use_the_env_file(block: Block, play: Play, output: Output) -> None:
    """With what the file stands for, the check passes, and the file is the user's alone."""
    cm = play.start()
    file = play.folder / "telephony.env"
    file.write_text(f"CM_HOST={cm.url}\nAUTH_TOKEN='{cm.auth_token}'\nAPPID={cm.app_id}\n")
    for name in ("CM_HOST", "AUTH_TOKEN", "APPID"):
        play.monkeypatch.delenv(name)
    code, lines, stderr = play.shell(block.text)
    assert 0 == code, stderr
    assert '"ok": true' in lines[-1]
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)


def first_real_call(block: Block, play: Play, output: Output) -> None:
    """It rings so long at most, and prints the seconds from answer to end."""
    cm = play.start()
    code, lines, stderr = play.shell(block.text)
    assert 0 == code, stderr
    assert '"billsec": ' in lines[-1]
    dial = cm.wait_for_command("outbound")
    assert ("+15550001111", "30") == (dial["to"], dial["timeout"])
    assert ["endcall"] == [call.ended_by for call in cm.calls]
