"""The web application: one page, the stream of what changes, and what can be pressed."""

import ipaddress
import os
import re
import secrets
from urllib.parse import urlsplit

from flask import Flask, Response, render_template, request
from werkzeug.exceptions import HTTPException

from examples.callboard import farend
from examples.callboard.board import REJECTED, Board, Refusal, as_event
from telephony import InvalidArgumentError, NotSentError, TelephonyError
from telephony.contrib.flask import Telephony

#: How long a dialled call may ring, in seconds.
RING = 45
#: Something is sent to each browser this often, so that those that have gone are noticed.
HEARTBEAT = 15
#: What may follow ``+``, once spaces and the like are gone.
NUMBER = re.compile(r"\+?[0-9]{3,15}")


def rtc_token(channel, uid, app_id):
    """Yours: sign one. A project without an App Certificate takes the App ID for a token."""
    return os.environ.get("RTC_TOKEN") or app_id


def create_app(sandbox=None):
    """The application: on the Call Manager of the environment, or on a *sandbox* that runs.

    Nothing is connected before it is used.
    """
    app = Flask(__name__)
    app.config.update(
        MAX_CONTENT_LENGTH=10_000,
        TELEPHONY_CONNECT_TIMEOUT=5,
        TELEPHONY_INBOUND=True,  # the board is one process, and the one that answers
        TELEPHONY_HANGUP_AT_EXIT=True,
    )
    ours = os.environ.get("FROM_NUMBER", "+15551234567")
    did = os.environ.get("DID") or (sandbox and "+18005550100")
    if sandbox is not None:
        app.config.update(
            TELEPHONY_HOST=sandbox.url,
            TELEPHONY_AUTH_TOKEN=sandbox.auth_token,
            TELEPHONY_APP_ID=sandbox.app_id,
        )
    telephony = Telephony(
        app, token_provider=rtc_token, subscribe_numbers=[did] if did else None
    )
    board = Board(telephony.on, sandbox=sandbox is not None)
    app.extensions["callboard"] = board

    # --- who may -----------------------------------------------------------------------------

    @app.before_request
    def refuse_other_sites():
        """No page of another site's can press anything here, under whatever name it found us."""
        if not _is_here(request.host):
            return {"error": "The board is reached by its address, or as localhost."}, 403
        if request.method == "POST" and not _same_site():
            return {"error": "That did not come from this board's own page."}, 403
        return None

    @app.after_request
    def only_ours(response):
        response.headers["Content-Security-Policy"] = (
            "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
        )
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers.setdefault("Cache-Control", "no-cache")
        return response

    # --- the page, and what changes ----------------------------------------------------------

    @app.template_filter()
    def spaced(number):
        return re.sub(r"^\+1(\d{3})(\d{3})(\d{4})$", r"+1 \1 \2 \3", number)

    @app.get("/")
    def page():
        return render_template(
            "index.html", sandbox=sandbox is not None, ours=ours, did=did,
            outcomes=farend.OUTCOMES,
        )

    @app.get("/events")
    def events():
        browser = board.open()

        def stream():
            try:
                yield "retry: 1000\n\n"
                while not browser.gone.is_set():
                    change = browser.next(HEARTBEAT)
                    yield ": still here\n\n" if change is None else as_event(*change)
            finally:
                board.leave(browser)

        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        response = Response(stream(), mimetype="text/event-stream", headers=headers)
        response.call_on_close(lambda: board.leave(browser))
        return response

    # --- what somebody presses ---------------------------------------------------------------

    @app.post("/calls")
    def place_call():
        to = _number(_text("to"))
        if sandbox is not None:
            outcome = _text("outcome", "me")
            if outcome not in farend.OUTCOMES:
                raise Refusal("There is no such far end.")
        else:
            outcome = None

        def place(uid):
            client = telephony.client
            if outcome is not None:
                farend.script(sandbox, to, outcome)
            return client.dial(
                to=to, from_=ours, channel=f"call-{uid}", uid=uid, timeout=RING,
                region=os.environ.get("REGION", "AREA_CODE_NA"), sip=os.environ.get("SIP"),
            )

        return {"id": board.dial(_text("key"), to, ours, place)}, 202

    @app.post("/ring")
    def someone_calls_in():
        if sandbox is None:
            raise Refusal("Only in a sandbox.")
        telephony.connect()  # or nobody is there to take the call
        caller = sandbox.incoming(to=did, from_=_number(_text("from", "") or farend.somebody()))
        if caller.ended:
            raise Refusal("Nobody is there to take the call.")
        return {}, 201

    def answer(call):
        uid = str(1 + secrets.randbelow(2**31 - 1))
        call.accept(channel=f"call-{uid}", uid=uid)

    def move(call):
        go = call.rebridge if call.state.value == "bridged" else call.bridge
        go(channel=_text("value", what="a channel"), uid=call.uid)

    commands = {
        "answer": answer,
        "reject": lambda call: call.reject("busy"),
        "digits": lambda call: call.send_dtmf(_text("value", what="digits")),
        "move": move,
        "transfer": lambda call: call.transfer(_number(_text("value"))),
        "hang-up": lambda call: call.hangup(),
    }
    if sandbox is not None:
        commands |= {
            "pick-up": lambda call: sandbox.peer(call).pick_up(),
            "far-digits": lambda call: sandbox.peer(call).press(_text("value", what="digits")),
            "far-hang-up": lambda call: sandbox.peer(call).hang_up(),
        }

    @app.post("/calls/<row_id>/<action>")
    def act(row_id, action):
        if action not in commands:
            return {"error": "There is no such button."}, 404
        row = board.act(row_id, action, commands[action])
        if action == "digits":
            board.note(row, sent=_text("value"))
        elif action == "transfer":
            board.note(row, f"Transferred to {_number(_text('value'))}.")
        # The Call Manager tells nobody of the end of a call that nobody took.
        elif action == "reject":
            board.end(row, REJECTED, "You rejected it.")
        elif action == "far-hang-up" and row.state == "incoming":
            board.end(row, "missed", "The caller gave up.")
        return {}

    # --- what goes wrong, in words -------------------------------------------------------------

    @app.errorhandler(Refusal)
    def refused(error):
        return {"error": str(error)}, 409

    @app.errorhandler(TelephonyError)
    def failed(error):
        status = 502
        if isinstance(error, InvalidArgumentError):
            status = 400
        elif isinstance(error, NotSentError):
            status = 503
        return {"error": str(error)}, status

    @app.errorhandler(HTTPException)
    def wrong(error):
        return {"error": error.description}, error.code

    return app


def _is_here(host):
    """Whether a browser found us by an address, or as localhost: names can be made to lead here."""
    try:
        name = urlsplit(f"//{host}").hostname
        return name == "localhost" or bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def _same_site():
    """Whether a request comes from our own page: browsers say so, and no form can send JSON."""
    _, _, origin = request.headers.get("Origin", "").partition("://")
    return origin == request.host and request.is_json


def _text(name, default=None, *, what=None):
    """A field of what the page has sent."""
    fields = request.get_json()
    value = fields.get(name, default) if isinstance(fields, dict) else None
    if not isinstance(value, str) or (not value.strip() and default is None):
        raise InvalidArgumentError(f"Type {what} first." if what else f"{name} is missing.")
    return value.strip()


def _number(text):
    """A phone number without what people write between its digits."""
    number = re.sub(r"[\s().\-/]", "", text)
    if not NUMBER.fullmatch(number):
        raise InvalidArgumentError(f"“{text[:40]}” is no phone number: +, then 3 to 15 digits.")
    return number
