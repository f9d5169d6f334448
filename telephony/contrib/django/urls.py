"""Where the gateway posts to: ``path("telephony/", include("telephony.contrib.django.urls"))``.

``events/`` takes events, ``lookup/`` answers which channel a caller belongs to.
"""

from __future__ import annotations

from django.urls import path

import telephony.contrib.django.views as views

app_name = "telephony"
urlpatterns = [
    path("events/", views.events, name="events"),
    path("lookup/", views.lookup, name="lookup"),
]
