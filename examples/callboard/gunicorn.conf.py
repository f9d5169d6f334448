"""For ``gunicorn -c examples/callboard/gunicorn.conf.py``, on the environment's Call Manager."""

import signal
import threading

wsgi_app = "examples.callboard.app:create_app()"
bind = "127.0.0.1:5050"
worker_class = "gthread"
workers = 1  # what the board knows is in the memory of one process
threads = 100  # each open page takes one, all the time


def post_worker_init(worker):
    """Connect; and told to end, let the open pages go: the worker waits for them, then hangs up."""
    worker.wsgi.extensions["telephony"].connect()
    board = worker.wsgi.extensions["callboard"]
    end = signal.getsignal(signal.SIGTERM)

    def end_with_pages(number, frame):
        threading.Thread(target=board.close).start()
        end(number, frame)

    signal.signal(signal.SIGTERM, end_with_pages)
