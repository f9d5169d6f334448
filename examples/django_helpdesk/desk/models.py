"""Who answers, and who answered what."""

from django.db import models


class Agent(models.Model):
    """Somebody who takes calls: the caller's audio joins the agent's *channel* as *uid*.

    *number*: the DID that leads to this agent alone; empty: calls to any other number.
    """

    name = models.CharField(max_length=100)
    number = models.CharField(max_length=32, blank=True)
    channel = models.CharField(max_length=64, unique=True)
    uid = models.PositiveIntegerField("the caller's uid", default=100)
    on_duty = models.BooleanField(default=False)
    #: the call that the agent has: whoever sets it from "" has the agent
    busy_with = models.CharField(max_length=255, blank=True, editable=False)
    last_call_at = models.DateTimeField(null=True, blank=True, editable=False)

    def __str__(self):
        return self.name


class Assignment(models.Model):
    """A call was given to an agent; what became of it is in the ``CallRecord`` of its id."""

    call_id = models.CharField(max_length=255, unique=True)
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT)
    assigned_at = models.DateTimeField(auto_now_add=True)

    def __str__(self):
        return f"{self.call_id} to {self.agent}"
