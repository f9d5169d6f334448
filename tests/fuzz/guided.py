"""The same targets with inputs that atheris chooses by what they reach in the code.

atheris is none of the test dependencies: it is large, and built for few platforms.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path


def run_guided(minutes: float) -> int:
    """Fuzz for so long; 1 if something was found (libFuzzer then ends the process itself)."""
    try:
        import atheris  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        print("atheris is not installed: pip install atheris (Linux, CPython)", file=sys.stderr)
        return 2
    with atheris.instrument_imports(include=["telephony.protocol", "telephony.runtime.frames"]):
        import telephony.protocol.session
        import telephony.protocol.table
        import telephony.runtime.frames  # noqa: F401
    from tests.fuzz.corpus import KINDS, TOLD, text
    from tests.fuzz.stream import Stream
    from tests.fuzz.talk import Talk

    def one_input(data: bytes) -> None:
        # The first byte chooses the target; messages to the session stand on lines.
        if data[:1] >= b"\x80":
            stream = Stream(random.Random(0))
            stream.data = data[1:]
            stream.run()
            return
        talk = Talk(random.Random(data[:1]))
        for line in data[1:].split(b"\n")[:20]:
            try:
                talk.take(line.decode())
            except UnicodeDecodeError:
                talk.take(line)
        talk.finish()

    with tempfile.TemporaryDirectory() as folder:
        frames = [text(frame) for frame in KINDS + TOLD]
        for number, frame in enumerate(frames):
            Path(folder, str(number)).write_text("a" + "\n".join((frame, frames[number // 2])))
        atheris.Setup([
            "tests.fuzz", f"-max_total_time={int(minutes * 60)}", "-max_len=4096",
            "-print_final_stats=1", folder,
        ], one_input)
        atheris.Fuzz()
    return 0
