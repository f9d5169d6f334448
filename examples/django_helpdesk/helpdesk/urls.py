"""The page, and the admin."""

from django.contrib import admin
from django.urls import path

from desk.views import calls

urlpatterns = [
    path("", calls, name="calls"),
    path("admin/", admin.site.urls),
]
