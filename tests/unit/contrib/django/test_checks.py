"""``manage.py check``: errors for what is wrong, warnings for what is missing."""

from __future__ import annotations

import pytest
from django.core.management import call_command

from telephony.contrib.django.checks import check_settings

URLS = "tests.unit.contrib.django.urls"
FUNCTION = f"{__name__}.check_settings"


def ids():
    return [found.id for found in check_settings()]


def test_all_is_well(account, settings):
    """With an account and a secret; nothing is connected."""
    settings.TELEPHONY = {**account, "LOOKUP": FUNCTION}
    assert [] == check_settings()
    call_command("check", fail_level="WARNING")


@pytest.mark.parametrize("change, found", [
    ({"HOSTNAME": "x"}, "telephony.E001"),
    ({"RECORDS": 1}, "telephony.E001"),
    ({"HOST": "http://x"}, "telephony.E002"),
    ({"OPTIONS": {"wrokers": 1}}, "telephony.E002"),
    ({"OPTIONS": {"hooks": "no.such"}}, "telephony.E002"),
    ({"LOOKUP": "no.such"}, "telephony.E003"),
    ({"LOOKUP": f"{__name__}.URLS"}, "telephony.E003"),
    ({"DATABASE": "none"}, "telephony.E004"),
    ({"HOST": ""}, "telephony.W001"),
    ({"AUTH_TOKEN": ""}, "telephony.W001"),
    ({"WEBHOOK_SECRET": ""}, "telephony.W002"),
    ({"WEBHOOK_SECRET": "two\nlines"}, "telephony.E005"),
])  # fmt: skip
def test_what_is_found(account, settings, change, found):
    """Each by its id, and alone."""
    settings.TELEPHONY = {**account, **change}
    assert [found] == ids()


def test_a_new_project(settings):
    """Nothing is set yet: ``migrate`` runs, with a warning for each; a mistake is not hidden."""
    settings.TELEPHONY = {}
    assert ["telephony.W001"] * 3 + ["telephony.W002"] == ids()
    settings.TELEPHONY = {"OPTIONS": {"workers": 0}}
    assert "telephony.E002" in ids()


def test_webhooks_that_nobody_included(account, settings, tmp_path):
    """Need no secret; nor does a project without URLs."""
    settings.TELEPHONY = {**account, "WEBHOOK_SECRET": None}
    settings.ROOT_URLCONF = "django.contrib.auth.urls"
    assert [] == ids()
    settings.ROOT_URLCONF = "no.such.module"
    assert [] == ids()
    settings.ROOT_URLCONF = None
    assert [] == ids()
    settings.ROOT_URLCONF = URLS
    assert ["telephony.W002"] == ids()
