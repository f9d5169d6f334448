"""The tables of the desk."""

import django.db.models.deletion
from django.db import migrations, models

ID = {"auto_created": True, "primary_key": True, "serialize": False, "verbose_name": "ID"}


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Agent",
            fields=[
                ("id", models.BigAutoField(**ID)),
                ("name", models.CharField(max_length=100)),
                ("number", models.CharField(blank=True, max_length=32)),
                ("channel", models.CharField(max_length=64, unique=True)),
                ("uid", models.PositiveIntegerField("the caller's uid", default=100)),
                ("on_duty", models.BooleanField(default=False)),
                ("busy_with", models.CharField(blank=True, editable=False, max_length=255)),
                ("last_call_at", models.DateTimeField(blank=True, editable=False, null=True)),
            ],
        ),
        migrations.CreateModel(
            name="Assignment",
            fields=[
                ("id", models.BigAutoField(**ID)),
                ("call_id", models.CharField(max_length=255, unique=True)),
                ("assigned_at", models.DateTimeField(auto_now_add=True)),
                (
                    "agent",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, to="desk.agent"
                    ),
                ),
            ],
        ),
    ]
