"""Shared by the tests of the protocol."""

from __future__ import annotations

import orjson
import pytest

from telephony.protocol import wire


@pytest.fixture(params=[None, orjson.loads], ids=["json", "orjson"])
def decoder(request, monkeypatch):
    """Once with each of those that can read the texts of the CM."""
    scan = wire._scan_by(request.param) if request.param else wire._standard_scan
    monkeypatch.setattr(wire, "_scan", scan)
