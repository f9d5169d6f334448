"""Which agent a caller goes to. Only ``manage.py telephony_listen`` is asked."""

import logging

from django.db.models import F
from django.dispatch import receiver
from django.utils import timezone

from desk.models import Agent, Assignment
from telephony import CommandRefusedError, OutcomeUnknownError
from telephony.contrib.django.models import CallRecord
from telephony.contrib.django.signals import call_hangup, call_incoming

log = logging.getLogger(__name__)


@receiver(call_incoming)
def route(sender, event, **kwargs):
    """Give the caller to a free agent, or reject the call."""
    call = event.call
    agent = take_agent(call)
    if agent is None:
        log.warning("nobody is free for %s", call.call_id)
        call.reject("nobody is free")
        return
    try:
        call.accept(channel=agent.channel, uid=agent.uid)
    except CommandRefusedError as error:  # the caller left, or another listener was first
        log.warning("%s was not answered: %s", call.call_id, error)
        release(call.call_id)
        return
    except OutcomeUnknownError as error:
        # It may have been answered: the agent is kept until the call's end is heard.
        log.error("whether %s was answered is not known: %s", call.call_id, error)
    except Exception:
        release(call.call_id)
        raise
    Assignment.objects.get_or_create(call_id=call.call_id, defaults={"agent": agent})


@receiver(call_hangup)
def ended(sender, event, **kwargs):
    if event.call.call_id:
        release(event.call.call_id)


def take_agent(call):
    """The agent who has waited longest, taken for this call; None if nobody is free."""
    release_forgotten()
    agents = list(Agent.objects.order_by(F("last_call_at").asc(nulls_first=True), "pk"))
    own = [agent for agent in agents if digits(agent.number) == digits(call.to) != ""]
    for agent in own or [agent for agent in agents if not agent.number]:
        free = Agent.objects.filter(pk=agent.pk, on_duty=True, busy_with="")
        if free.update(busy_with=call.call_id, last_call_at=timezone.now()):
            return agent  # in one statement: nobody else has the same one
    return None


def release(call_id):
    Agent.objects.filter(busy_with=call_id).update(busy_with="")


def release_forgotten():
    """Agents whose call is over by its record, though nobody here heard the end."""
    busy = Agent.objects.exclude(busy_with="").values_list("busy_with", flat=True)
    over = CallRecord.objects.filter(call_id__in=list(busy), state="hangup")
    for call_id in over.values_list("call_id", flat=True):
        release(call_id)


def digits(number):
    return "".join(filter(str.isdigit, number))
