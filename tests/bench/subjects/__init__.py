"""Those that are measured, behind one interface; each is loaded only where it is wanted."""

from __future__ import annotations

import importlib
from typing import Any

from tests.bench.subjects.base import Missing, Place, Subject

__all__ = ["Missing", "Place", "Subject", "SUBJECTS", "make"]

#: name → class and where it is
SUBJECTS = {
    "ours": ("ours", "Ours"),
    "bare": ("bare", "Bare"),
    "naive": ("naive", "Naive"),
    "websockets": ("sync", "Sync"),
    "picows": ("ceiling", "Ceiling"),
}


def make(name: str, place: Place, **options: Any) -> Subject:
    """The subject of this name, not connected; raises ``Missing`` if it is not installed."""
    module, of = SUBJECTS[name]
    try:
        found = importlib.import_module(f"tests.bench.subjects.{module}")
    except ModuleNotFoundError as error:
        raise Missing(str(error.name)) from None
    made: Subject = getattr(found, of)(place, **options)
    return made
