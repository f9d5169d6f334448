"""The tables of the documents are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

from telephony.contrib.django import checks
from telephony.contrib.django import signals as told
from telephony.contrib.django.configuration import _READERS
from telephony.contrib.django.models import CallEventRecord, CallRecord
from tests.docs.rst import DOCS, literals, read, sphinx, tables


def first_column(page, name):
    with sphinx():
        table = tables(read(DOCS / page)[0])[name]
    return [word for row in table.rows for word in literals(row[0])]


def test_every_key():
    """Of the setting."""
    assert set(_READERS) == set(first_column("howto/django.rst", "keys"))


def test_every_signal():
    """And none that there is not."""
    names = {name for name, value in vars(told).items() if value in told.SIGNALS.values()}
    assert names == set(first_column("reference/django.rst", "signals"))


def test_every_field():
    """But for what is the library's own."""
    own = {"id", "state_at", "fingerprint", "active"}
    for model in (CallRecord, CallEventRecord):
        fields = {field.name for field in model._meta.get_fields()}
        found = set(first_column("reference/django.rst", model.__name__.lower()))
        assert fields - own == found - own


def test_every_check():
    """By its id."""
    ids = set(re.findall(r"telephony\.[EW]\d+", Path(checks.__file__).read_text("utf-8")))
    assert ids == set(first_column("reference/django.rst", "checks"))
