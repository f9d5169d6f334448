"""``python -m examples.callboard``: the board on a sandbox, or with CM_HOST set on that one."""

import argparse
import contextlib
import logging
import os
import signal
import sys

from telephony import TelephonyError


def main():
    parser = argparse.ArgumentParser(prog="python -m examples.callboard", description=__doc__)
    parser.add_argument("--port", type=int, default=5050, help="0: any that is free")
    parser.add_argument(
        "--host", default="127.0.0.1",
        help="who can reach it can place calls: leave it at this machine",
    )
    wanted = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
    try:
        serve(wanted.host, wanted.port)
    except ImportError as error:
        sys.exit(f'{error}\nThe board needs more: pip install ".[callboard]"')
    except (TelephonyError, OSError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass


def serve(host, port):
    """Serve the board until Ctrl-C; then hang up every call."""
    from werkzeug.serving import WSGIRequestHandler, make_server

    from examples.callboard.app import create_app
    from telephony.sandbox import Sandbox

    class Handler(WSGIRequestHandler):
        timeout = 30  # for a browser that takes nothing any more

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with contextlib.ExitStack() as stack:
        sandbox = None
        if not os.environ.get("CM_HOST"):
            sandbox = stack.enter_context(Sandbox(lookup_hold=30))
        elif not os.environ.get("FROM_NUMBER"):
            sys.exit("set FROM_NUMBER, the number that calls, in the environment")
        app = create_app(sandbox)
        telephony = app.extensions["telephony"]
        stack.callback(telephony.close)
        stack.callback(app.extensions["callboard"].close)
        telephony.connect()  # or it is said now why not
        server = make_server(host, port, app, threaded=True, request_handler=Handler)
        where = f"http://{f'[{host}]' if ':' in host else host}:{server.port}/"
        what = "a sandbox: no call costs anything" if sandbox else os.environ["CM_HOST"]
        print(f"The call board is at {where} ({what}). Ctrl-C ends it.", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
