"""The calls, and who took them."""

from django.contrib.auth.decorators import login_required
from django.shortcuts import render

from desk.models import Agent, Assignment
from telephony.contrib.django.models import CallRecord


@login_required
def calls(request):
    """The newest hundred calls."""
    records = list(CallRecord.objects.all()[:100])
    ids = [record.call_id for record in records]
    taken = Assignment.objects.filter(call_id__in=ids).select_related("agent")
    agents = {assignment.call_id: assignment.agent for assignment in taken}
    rows = [(record, agents.get(record.call_id)) for record in records]
    on_duty = Agent.objects.filter(on_duty=True).order_by("name")
    return render(request, "desk/calls.html", {"rows": rows, "on_duty": on_duty})
