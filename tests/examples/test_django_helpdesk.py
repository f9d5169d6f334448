"""``examples/django_helpdesk``: its own tests, and the project as its README starts it."""

from __future__ import annotations

import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from telephony.sandbox import Sandbox
from tests.cli.programs import ROOT, SECONDS, Program, environment
from tests.docs.web import ask

FOLDER = ROOT / "examples" / "django_helpdesk"


def test_its_own_tests_pass() -> None:
    """From the folder above, with the project's settings."""
    command = [
        sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest",
        "-W", "error", "examples/django_helpdesk",
    ]  # fmt: skip
    with Program(command, environment(), cwd=ROOT) as program:
        code, lines = program.finish()
    assert 0 == code, "\n".join(lines)
    assert "8 passed" in lines[-1]


@pytest.mark.parametrize("command", [
    ["check", "--fail-level", "WARNING"],
    ["makemigrations", "--check", "--dry-run"],
])  # fmt: skip
def test_nothing_to_complain_of(cm: Sandbox, tmp_path: Path, command: list[str]) -> None:
    """Django has looked through the settings, the models and their migrations."""
    with _manage(cm, tmp_path, *command) as program:
        code, _ = program.finish()
        assert 0 == code, program.stderr


def test_it_answers(cm: Sandbox, tmp_path: Path) -> None:
    """Made as the README says, with a call that comes in, and the page behind its login."""
    for words in (["migrate", "--verbosity", "0"], ["loaddata", "agents"]):
        with _manage(cm, tmp_path, *words) as program:
            code, _ = program.finish()
            assert 0 == code, program.stderr
    with _manage(cm, tmp_path, "telephony_listen") as listener:
        assert "helpdesk" == cm.wait_for_command("register", SECONDS)["client_id"]
        caller = cm.incoming(to="+18005550100", from_="+15559876543")
        assert caller.wait_accepted(SECONDS)
        assert "desk-ada" == cm.wait_for_command("accept")["channel"]
        listener.interrupt(signal.SIGTERM)
        code, _ = listener.finish()
        assert 0 == code, listener.stderr
    with closing(sqlite3.connect(tmp_path / "db.sqlite3")) as database:
        busy = database.execute("select name from desk_agent where busy_with <> ''").fetchall()
    assert [("Ada",)] == busy

    words = ["runserver", "--noreload", "127.0.0.1:0"]
    with _manage(cm, tmp_path, *words, PYTHONUNBUFFERED="1") as server:
        line = server.line(lambda line: "development server at " in line)
        url = line.partition("server at ")[2].rstrip("/")
        assert (200, None) == ask("GET", f"{url}/")  # it was sent on to the login
        server.interrupt(signal.SIGINT)
        server.finish()
    caller.hang_up()


def _manage(cm: Sandbox, folder: Path, *words: str, **variables: str) -> Program:
    database = str(folder / "db.sqlite3")
    settings = {**cm.environ, "HELPDESK_DATABASE": database, **variables}
    command = [sys.executable, "-W", "error", "manage.py", *words]
    return Program(command, environment(**settings), cwd=FOLDER)
