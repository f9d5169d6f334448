"""For ``manage.py``."""
