"""How the library is at size: ``python -m tests.bench.scale``; see ``--help``."""
