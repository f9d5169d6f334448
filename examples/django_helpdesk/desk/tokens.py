"""Where RTC tokens come from."""


def rtc_token(channel, uid, app_id):
    """A token for *channel* and *uid*: yours is signed, or asked for from your server."""
    return f"token for {uid} in {channel}"
