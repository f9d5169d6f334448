"""How fast the library is beside others: ``python -m tests.bench``; see ``--help``."""
