"""What lives until the interpreter takes its modules apart.

In a module without functions: a thread that is stopped in one would keep its module's globals.
"""

from __future__ import annotations

from typing import Any

clients: list[Any] = []
