"""``telephony completion``: scripts that real shells complete with."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.programs import TELEPHONY, environment, run
from tests.cli.terminal import Terminal

# What bash does when the key for it is pressed behind these words.
_ASK_BASH = """
source "$1"
complete -p telephony >&2
COMP_WORDS=(telephony "${@:2}"); COMP_CWORD=$(($# - 1))
COMP_LINE="${COMP_WORDS[*]}"; COMP_POINT=${#COMP_LINE}
_shtab_telephony
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory):
    """script(shell): a file with what the command prints."""

    def made(shell: str) -> Path:
        code, lines, stderr = run([*TELEPHONY, "completion", shell], environment())
        assert (0, "") == (code, stderr)
        file = tmp_path_factory.mktemp("completion") / "_telephony"
        file.write_text("\n".join(lines) + "\n")
        return file

    return made


def test_bash(script, tmp_path: Path) -> None:
    """Commands, options, choices and file names are completed."""
    file = script("bash")
    (tmp_path / "incident.jsonl").touch()

    def completed(*words: str) -> list[str]:
        done = subprocess.run(
            ["bash", "--norc", "-c", _ASK_BASH, "bash", str(file), *words],
            capture_output=True,
            text=True,
            env=environment(),
            cwd=tmp_path,
        )
        assert 0 == done.returncode, done.stderr
        assert "complete " in done.stderr and "telephony" in done.stderr
        return done.stdout.split()

    assert ["demo", "dial"] == sorted(completed("d"))
    assert {"sandbox", "replay", "listen", "check", "completion"} < set(completed(""))
    assert ["--accept"] == completed("listen", "--acc")
    assert ["--to", "--digits"] == [w for w in completed("dial", "-") if w in ("--to", "--digits")]
    assert ["digits"] == completed("sandbox", "--dtmf-echo", "d")
    assert ["incident.jsonl"] == completed("replay", "inc")
    assert ["incident.jsonl"] == completed("listen", "--record", "inc")
    assert [] == completed("check", "--auth")


def test_zsh(script, tmp_path: Path) -> None:
    """At a terminal with zsh, the key completes. Without zsh the script itself is looked at."""
    file = script("zsh")
    text = file.read_text()
    assert text.startswith("#compdef telephony")
    assert "--auth-token" not in text
    zsh = shutil.which("zsh")
    if zsh is None:  # .ci/run installs it; elsewhere what it says is all that can be seen
        assert '"check:try to register, and say which step fails"' in text
        assert "--accept[accept calls into this channel" in text
        return
    folder = tmp_path / "functions"
    folder.mkdir()
    shutil.copy(file, folder / "_telephony")
    (tmp_path / ".zshrc").write_text(
        f"fpath=({folder} $fpath)\nPROMPT='ready> '\nunsetopt beep\n"
        f"autoload -Uz compinit && compinit -u -d {tmp_path}/dump\ntelephony() {{ : }}\n"
    )
    env = environment(ZDOTDIR=str(tmp_path), HOME=str(tmp_path))
    with Terminal([zsh, "-i"], env, columns=120) as terminal:
        terminal.wait_text("ready>")
        terminal.type(b"telephony che\t")
        terminal.wait_text("ready> telephony check")
        terminal.type(b"--time\t")
        terminal.wait_text("ready> telephony check --timeout")
        terminal.type(b"\x15telephony listen --acc\t")
        terminal.wait_text("ready> telephony listen --accept")
        terminal.type(b"\x15telephony \t")
        terminal.wait_text("say which step fails")


def test_without_shtab(tmp_path: Path) -> None:
    """One line says what to install."""
    (tmp_path / "shtab.py").write_text("raise ImportError('not here')")
    env = environment(PYTHONPATH=str(tmp_path))
    code, _, stderr = run([*TELEPHONY, "completion", "bash"], env)

    assert 1 == code
    assert 'telephony: completion needs shtab: pip install "agora-telephony[cli]"\n' == stderr


def test_an_unknown_shell() -> None:
    """It is wrong usage."""
    code, _, stderr = run([*TELEPHONY, "completion", "fish"], environment())
    assert 2 == code and "bash" in stderr
