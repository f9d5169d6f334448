"""The Django app, in a project that is configured here."""
