"""The client: for the Call Manager of the environment, or for a sandbox."""

import os

from telephony import Client


def rtc_token(channel, uid, app_id):
    """Yours: sign one. A project without an App Certificate takes the App ID for a token."""
    return os.environ.get("RTC_TOKEN") or app_id


class Phone:
    """One client, connected on first use."""

    def __init__(self, sandbox=None):
        did = os.environ.get("DID")
        options = {"token_provider": rtc_token, "subscribe_numbers": [did] if did else None}
        self._client = sandbox.client(**options) if sandbox else Client.from_env(**options)
        self.on = self._client.on

    @property
    def client(self):
        self._client.connect(timeout=5)
        return self._client

    def close(self):
        """Hang up what is up, and end."""
        self._client.close(drain=1, hangup_active=True)
