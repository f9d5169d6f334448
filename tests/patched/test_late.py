"""Programs of their own: what is patched when."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.soak.cm import ROOT, RemoteSandbox

WORK = """
import sys
import gevent
ticks = []
def tick():
    while True:
        gevent.sleep(0.01)
        ticks.append(1)
gevent.spawn(tick)
with Client(sys.argv[1], sys.argv[2], None, sys.argv[3]) as client:
    def live(number):
        with client.dial(to="+1800", from_="+1555", channel="c", uid=str(number), token="t",
                         region="AREA_CODE_NA") as call:
            call.wait_answered(10)
            try:
                call.wait_for(lambda info: False, 0.5)
            except Exception as error:
                return type(error).__name__
    ends = [gevent.spawn(live, n) for n in range(3)]
    gevent.joinall(ends, raise_error=True, timeout=20)
    print(sorted({end.value for end in ends}), "ticking" if len(ticks) > 10 else len(ticks))
"""
PATCH = "from gevent import monkey; monkey.patch_all()"
IMPORT = "from telephony import Client"
WARNS = "import warnings; warnings.simplefilter('ignore')"  # gevent's own, of ssl imported early


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([PATCH, IMPORT], id="patched first"),
        pytest.param([WARNS, IMPORT, PATCH], id="patched after the import"),
    ],
)
def test_patching(lines):
    """Before or after the import, as long as it is before the client is made."""
    with RemoteSandbox(time_scale=50) as cm:
        done = subprocess.run(
            [sys.executable, "-c", "\n".join([*lines, WORK]), cm.url, cm.auth_token, cm.app_id],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=50,
        )
    assert ("['WaitTimeoutError'] ticking\n", "", 0) == (done.stdout, done.stderr, done.returncode)
