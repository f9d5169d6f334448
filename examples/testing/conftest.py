"""What the tests of the front desk share."""

import pytest
from frontdesk import FrontDesk


@pytest.fixture
def desk(telephony_client):
    """A front desk whose Call Manager is the test's own sandbox."""
    return FrontDesk(telephony_client)
