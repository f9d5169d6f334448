"""The app; its receivers are connected when it is ready."""

from django.apps import AppConfig


class DeskConfig(AppConfig):
    name = "desk"
    verbose_name = "Help desk"

    def ready(self):
        from desk import routing  # noqa: F401
