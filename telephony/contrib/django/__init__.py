"""Phone calls in a Django project; needs ``pip install "agora-telephony[django]"``.

Put ``"telephony.contrib.django"`` into ``INSTALLED_APPS`` and the account into the setting
``TELEPHONY``; then in a view::

    from telephony.contrib.django import get_client

    call = get_client().dial(...)

What happens to calls is told by the signals of `telephony.contrib.django.signals`, and kept in
``CallRecord`` and ``CallEventRecord``. ``manage.py telephony_listen`` is the process that takes
calls that come in, ``telephony.contrib.django.urls`` what the gateway posts. To import this touches
no network and needs no settings.
"""

from __future__ import annotations

try:
    import django  # noqa: F401
except ImportError as missing:
    raise ImportError(
        'telephony.contrib.django needs Django: pip install "agora-telephony[django]"'
    ) from missing

from telephony.contrib.django.client import close_client, get_client

__all__ = ["close_client", "get_client"]
