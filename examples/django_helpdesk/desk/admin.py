"""Agents, who comes on duty and who goes."""

from django.contrib import admin

from desk.models import Agent, Assignment


@admin.register(Agent)
class AgentAdmin(admin.ModelAdmin):
    list_display = ["name", "number", "channel", "on_duty", "busy_with", "last_call_at"]
    list_editable = ["on_duty"]
    list_filter = ["on_duty"]
    search_fields = ["name", "number", "channel"]
    actions = ["set_free"]

    @admin.action(description="Set free (their call is over, and its end was not heard)")
    def set_free(self, request, agents):
        agents.update(busy_with="")


@admin.register(Assignment)
class AssignmentAdmin(admin.ModelAdmin):
    list_display = ["call_id", "agent", "assigned_at"]
    list_filter = ["agent"]
    search_fields = ["call_id"]
