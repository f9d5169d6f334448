"""docs/howto/scripts-cron.rst."""

from __future__ import annotations

import configparser
import re
import signal
import sqlite3
from contextlib import closing

from telephony.sandbox import FarEnd, Sandbox
from tests.docs.drivers import PartOf
from tests.docs.play import SECONDS, Output, Play
from tests.docs.rst import Block
from tests.docs.web import SETTINGS

table = PartOf("remind")
run = PartOf("crontab")


def _database(play: Play, block: Block, *numbers: str) -> None:
    with closing(sqlite3.connect(play.folder / "reminders.db")) as database:
        if not database.execute("select * from sqlite_master").fetchall():
            database.executescript(play.other(block, "table").text)
        database.executemany("insert into reminders(number) values (?)", [[n] for n in numbers])
        database.commit()


def _states(play: Play) -> list[str]:
    with closing(sqlite3.connect(play.folder / "reminders.db")) as database:
        return [row[0] for row in database.execute("select state from reminders order by number")]


def _turns_up(callee: FarEnd) -> None:
    """A call whose dial was given up is heard of, and hung up."""
    callee.press("1")
    assert "NORMAL_CLEARING" == callee.wait_ended(SECONDS)


def remind(block: Block, play: Play, output: Output) -> None:
    """Each is called once, whatever became of it, and a second run calls nobody again."""
    cm = play.start()
    play.write(block)
    _database(play, block, "+18005550001", "+18005550002", "+18005550003")
    cm.script_dial("busy", to="+18005550002")
    cm.script_dial(delay=10_000, to="+18005550003")  # it rings, and the answer does not come
    program = play.python(block.caption, **SETTINGS)
    cm.wait_for_command("outbound", to="+18005550001")
    assert cm.peer(cm.calls[0].call_id).wait_accepted(SECONDS)
    cm.peer(cm.calls[0].call_id).hang_up()
    cm.wait_for_command("outbound", to="+18005550003")
    callee = cm.peer(cm.calls[-1].call_id)
    assert callee.wait_accepted(SECONDS)
    cm.wait_for_command("register")
    cm.drop_connections()
    cm.wait_for_command("register")
    _turns_up(callee)
    assert 1 == program.finish()[0]
    assert ["reached", "not reached: Busy", "unknown"] == _states(play)
    assert "it did ring: " in program.stderr

    again = play.python(block.caption, **SETTINGS)
    assert 1 == again.finish()[0]
    assert 3 == len([frame for frame in cm.frames if "outbound" == frame["action"]])

    cm.stop()
    with closing(sqlite3.connect(play.folder / "reminders.db")) as database:
        database.execute("update reminders set state = 'due'")
        database.commit()
    unreachable = play.python(block.caption, **SETTINGS)
    assert 1 == unreachable.finish()[0]
    assert "Connection refused" in unreachable.stderr and "Traceback" not in unreachable.stderr
    assert ["due"] * 3 == _states(play)  # to be tried again


def _in_the_folder(play: Play, text: str) -> str:
    (play.folder / "venv" / "bin").mkdir(parents=True)
    (play.folder / "venv" / "bin" / "python").write_text('#!/bin/sh\nexec python3 "$@"\n')
    (play.folder / "venv" / "bin" / "python").chmod(0o755)
    return text.replace("/srv/reminders", str(play.folder))


def _account(cm: Sandbox) -> str:
    lines = {"CM_HOST": cm.url, "AUTH_TOKEN": f"'{cm.auth_token}'", "APPID": cm.app_id, **SETTINGS}
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def env_file(block: Block, play: Play, output: Output) -> None:
    """It has all that the script reads from the environment."""
    names = re.findall(r"^(\w+)=", block.text, re.MULTILINE)
    assert {"CM_HOST", "AUTH_TOKEN", "APPID", *SETTINGS} == set(names)
    play.write(block)
    code, lines, stderr = play.shell('. ./telephony.env; echo "$AUTH_TOKEN"')
    assert (0, ["Basic …"]) == (code, lines), stderr


def crontab(block: Block, play: Play, output: Output) -> None:
    """The line's command runs as cron would run it; a second one at the same time does not."""
    cm = play.start()
    fields = block.text.split(None, 5)
    assert all(re.fullmatch(r"[0-9*/,-]+", field) for field in fields[:5])
    assert "%" not in fields[5]  # cron takes it for the end of a line
    script = play.folder / "run.sh"
    assert f"/srv/reminders/{script.name}" == fields[5]
    script.write_text(_in_the_folder(play, play.other(block, "run").text) + "\n")
    script.chmod(0o755)
    command = str(script)
    play.write(play.other(block, "remind"))
    _database(play, block, "+18005550001")
    (play.folder / "telephony.env").write_text(_account(cm))
    for name in ("CM_HOST", "AUTH_TOKEN", "APPID"):
        play.monkeypatch.delenv(name)
    program = play.program("/bin/sh", "-c", command)
    cm.wait_for_command("outbound")
    assert 1 == play.shell(command)[0]  # the lock is held
    assert cm.peer(cm.calls[0].call_id).wait_accepted(SECONDS)
    cm.peer(cm.calls[0].call_id).hang_up()
    assert 0 == program.finish()[0], (play.folder / "remind.log").read_text()
    assert ["reached"] == _states(play)


def service(block: Block, play: Play, output: Output) -> None:
    """What it starts runs with its file for an environment; at SIGTERM it hangs up."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(block.text)
    service = unit["Service"]
    assert "oneshot" == service["Type"]
    cm = play.start()
    command = _in_the_folder(play, service["ExecStart"])
    assert {"/srv/reminders/telephony.env"} == {service["EnvironmentFile"]}
    play.write(play.other(block, "remind"))
    _database(play, block, "+18005550001")
    program = play.program("bash", "-c", f"exec {command} 2>&1", **SETTINGS)
    program.line(lambda line: line.endswith("talking"))
    program.interrupt(signal.SIGTERM)
    program.finish()
    assert (["endcall"], ["talking"]) == ([call.ended_by for call in cm.calls], _states(play))

    _database(play, block, "+18005550002")  # once more, and told to stop while it dials
    cm.script_dial(delay=10_000)
    program = play.program("bash", "-c", f"exec {command} 2>&1", **SETTINGS)
    cm.wait_for_command("outbound", to="+18005550002")
    program.interrupt(signal.SIGTERM)
    callee = cm.peer(cm.calls[-1].call_id)
    assert callee.wait_accepted(SECONDS)
    _turns_up(callee)
    assert 130 == program.finish()[0]
    assert ["talking", "dialling"] == _states(play)


def timer(block: Block, play: Play, output: Output) -> None:
    """It is for the service of its name, and as often as cron's."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.read_string(block.text)
    assert play.other(block, "service").caption.partition(".")[0] == block.caption[:-6]
    assert "Mon..Fri 09..18:00/15" == unit["Timer"]["OnCalendar"]
    assert play.other(block, "crontab").text.startswith("*/15 9-18 * * 1-5 ")
