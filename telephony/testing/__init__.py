"""For the tests of your own app: a pytest plugin, and recordings that can be played back.

``Recorder`` writes what a client sends and receives to a file, ``Replay`` plays it to another
client. The fixtures are in `telephony.testing.plugin`, which pytest finds by itself. The names
are loaded when they are first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from telephony.recording import Recorder, RecordingError
    from telephony.testing.playback import ReplayDifference
    from telephony.testing.replay import Replay
else:

    def __getattr__(name: str) -> Any:
        """What is not loaded yet (PEP 562)."""
        import importlib

        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return globals().setdefault(name, getattr(importlib.import_module(_MODULES[name]), name))


_MODULES = {
    "Recorder": "telephony.recording",
    "RecordingError": "telephony.recording",
    "Replay": "telephony.testing.replay",
    "ReplayDifference": "telephony.testing.playback",
}

__all__ = ["Recorder", "RecordingError", "Replay", "ReplayDifference"]
