"""Only the launcher patches; without it there is nothing here to collect."""

import sys

monkey = sys.modules.get("gevent.monkey")

if monkey is None or not monkey.is_module_patched("socket"):
    collect_ignore_glob = ["test_*.py"]
