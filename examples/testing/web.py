"""The front desk on the web: ``POST /ring`` with a number rings it up."""

from flask import Flask, request
from werkzeug.serving import make_server

from frontdesk import FrontDesk
from telephony import Client


def create_app(desk):
    app = Flask(__name__)

    @app.post("/ring")
    def ring():
        return {"result": desk.ring(request.form["to"])}

    return app


if __name__ == "__main__":  # CM_HOST, AUTH_TOKEN and APPID are in the environment
    with Client.from_env() as client:
        server = make_server("127.0.0.1", 0, create_app(FrontDesk(client)), threaded=True)
        print(server.port, flush=True)
        server.serve_forever()
