"""The configuration: what is checked, where it comes from, and what is never shown."""

from __future__ import annotations

import pytest
from celery import Celery, _state
from celery.exceptions import ImproperlyConfigured

from telephony.contrib.celery import Telephony
from telephony.contrib.celery.settings import Settings


@pytest.fixture(autouse=True)
def no_default_app(monkeypatch):
    """Whichever app of these is the default is so for its test only."""
    monkeypatch.setattr(_state, "default_app", None)
    monkeypatch.setattr(_state._tls, "current_app", None)


def made(broker="redis://:pa55word@broker/3", backend=None, **conf):
    app = Celery("shop", broker=broker, backend=backend)
    app.conf.update(conf)
    return app


def provider(channel, uid, app_id):
    return "token"


OPTIONS = {"command_timeout": 7, "token_provider": f"{__name__}:provider"}


def test_the_defaults():
    """An app with a Redis broker needs no more to send commands."""
    settings = Settings.of(made())
    assert "redis://:pa55word@broker/3" == settings.redis_url
    assert ("telephony", "telephony", 10.0) == (settings.prefix, settings.queue, settings.lease)
    assert () == settings.targets("call_hangup")


@pytest.mark.parametrize(
    "key, value",
    [
        ("telephony_lease", 0),
        ("telephony_lease", True),
        ("telephony_lease", 0.5),
        ("telephony_keep_ended", "long"),
        ("telephony_prefix", ""),
        ("telephony_queue", 5),
        ("telephony_events", ["shop.any"]),
        ("telephony_events", {"call_hangup": 5}),
        ("telephony_events", {"call_hangup": []}),
        ("telephony_events", {"CallHangup": "shop.ended"}),
        ("telephony_events_queue", ""),
        ("telephony_options", 5),
        ("telephony_options", {"client_id": "mine"}),
        ("telephony_options", {"comand_timeout": 5}),
        ("telephony_redis_url", "http://broker"),
        ("telephony_redis_url", "redis://:pa55word@broker/calls"),
        ("telephony_redis_url", "redis://:pa55word@broker:port/0"),
        ("telephony_leese", 5),
    ],
)
def test_what_is_wrong_is_named(key, value):
    """A setting that is wrong, or that there is not, is named as it was written."""
    with pytest.raises(ImproperlyConfigured, match=key) as caught:
        Telephony(made(**{key: value}))
    assert "pa55word" not in str(caught.value)


def test_an_event_that_is_not_known(caplog):
    """It may be a new one; it may be misspelt, too."""
    Telephony(made(telephony_events={"call_answred": "shop.any", "gap": "shop.any"}))
    assert ["call_answred"] == [record.args[1] for record in caplog.records]


def test_options_of_the_client_are_checked_at_once():
    """Where the account is known, so are mistakes in the options, before any worker starts."""
    account = dict(telephony_host="cm", telephony_auth_token="Basic x", telephony_app_id="app")
    with pytest.raises(ImproperlyConfigured, match="there is no option comand_timeout"):
        Telephony(made(**account, telephony_options={"comand_timeout": 5}))


def test_redis_of_the_result_backend():
    """With RabbitMQ as its broker an app has its calls where its results are."""
    app = made("amqp://broker", "redis://results/1")
    assert "redis://results/1" == Settings.of(app).redis_url


def test_no_redis_at_all():
    """Without a Redis anywhere the setting that is missing is named."""
    with pytest.raises(ImproperlyConfigured, match="telephony_redis_url"):
        Telephony(made("amqp://broker"))


def test_a_namespace():
    """Django's way: the keys in capitals, behind CELERY_."""
    app = Celery("shop")
    app.config_from_object(
        {"CELERY_BROKER_URL": "redis://broker", "CELERY_TELEPHONY_LEASE": 4}, namespace="CELERY"
    )
    assert 4.0 == Settings.of(app).lease


def test_what_a_path_names_is_imported_for_the_client_only():
    """The module with the token provider may be the one that makes the app."""
    account = dict(telephony_host="cm", telephony_auth_token="Basic x", telephony_app_id="app")
    settings = Settings.of(made(**account, telephony_options=f"{__name__}:OPTIONS"))
    client = settings.client("line-1")
    assert ("line-1", 7, provider) == (
        client.options.client_id, client.options.command_timeout, client.options.token_provider
    )  # fmt: skip
    broken = Settings.of(made(**account, telephony_options={"token_provider": "nowhere:at_all"}))
    with pytest.raises(ImproperlyConfigured, match="nowhere:at_all"):
        broken.client("line-1")


def test_a_worker_needs_an_account(monkeypatch):
    """What a worker lacks is named, with the variables of the environment that would do."""
    monkeypatch.setenv("APPID", "app")
    with pytest.raises(ImproperlyConfigured, match=r"telephony_host \(or CM_HOST\), "):
        Settings.of(made()).client("line-1")


def test_secrets_are_not_shown():
    """Neither the credentials nor a password in a URL are in the settings' repr or an error."""
    settings = Settings.of(made(telephony_auth_token="Basic pa55word"))
    assert "pa55word" not in repr(settings)
    with pytest.raises(ImproperlyConfigured) as raised:
        Settings.of(made(telephony_redis_url="http://:pa55word@broker"))
    assert "pa55word" not in str(raised.value)


def test_targets():
    """The tasks for an event are its own, then those for all, each once."""
    events = {"call_hangup": ["shop.ended", "shop.any"], "*": "shop.any"}
    settings = Settings.of(made(telephony_events=events))
    assert ("shop.ended", "shop.any") == settings.targets("call_hangup")
    assert ("shop.any",) == settings.targets("a_new_event")
