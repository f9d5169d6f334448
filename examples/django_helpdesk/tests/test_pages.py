"""What one sees."""

from telephony.contrib.django.signals import call_hangup


def test_the_list_of_calls(desk, told, admin_client):
    """A call, who took it, and how it ended."""
    assert "No call yet." in admin_client.get("/").content.decode()
    ended = told(call_hangup)
    caller = desk.incoming(to="+18005550100", from_="+15559876543")
    assert caller.wait_accepted(timeout=30)
    caller.hang_up()
    ended()
    page = admin_client.get("/").content.decode()
    for shown in ("+15559876543", "<td>Ada</td>", ">hangup<", "NORMAL_CLEARING"):
        assert shown in page


def test_only_for_those_who_log_in(client, transactional_db):
    """It has phone numbers in it."""
    assert 302 == client.get("/").status_code


def test_agents_come_and_go(desk, admin_client, agents):
    """In the admin; and a call that hangs is taken from them."""
    page = admin_client.get("/admin/desk/agent/").content.decode()
    assert "Linus" in page
    agents[0].busy_with = "a call"
    agents[0].save()
    chosen = {"action": "set_free", "_selected_action": [agents[0].pk]}
    admin_client.post("/admin/desk/agent/", chosen)
    agents[0].refresh_from_db()
    assert "" == agents[0].busy_with
