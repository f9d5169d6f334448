"""Celery tasks that dial, in a module that the worker loads before it forks its children.

``CONNECT=parent`` connects the client then, else each child does so when it first needs it.
"""

from __future__ import annotations

import os
import sys

from celery import Celery

from telephony import Client
from tests.processes.programs.talk import talk

folder = os.environ["BROKER_FOLDER"]
app = Celery("tasks", broker="filesystem://")
app.conf.update(
    broker_transport_options={
        "data_folder_in": folder,
        "data_folder_out": folder,
        "control_folder": os.path.join(folder, "control"),
        "polling_interval": 0.02,
    },
    broker_connection_retry_on_startup=True,
    task_ignore_result=True,
    worker_enable_remote_control=False,
    worker_redirect_stdouts=False,
    worker_prefetch_multiplier=1,
)


@app.task(name="dial")
def dial(uid: str) -> None:
    call = talk(client, "task", uid)
    os.write(1, f"done {os.getpid()} {call.call_id} {call.state}\n".encode())  # in one piece


if "worker" in sys.argv:
    os.setpgid(0, 0)  # for the tests to end it with all its children, if they must
    client = Client.from_env()
    if os.environ["CONNECT"] == "parent":
        client.connect()
