"""What the parts of one gateway are, for those who need several of them."""

from dataclasses import dataclass

from devstack.realtime.feed import Feed
from devstack.realtime.limits import Limits, Rates
from devstack.realtime.messages import Messages
from devstack.realtime.outgoing import Outgoing
from devstack.realtime.policies import Policies
from devstack.realtime.presence import Presence
from devstack.realtime.replay import Replay
from devstack.realtime.topics import Topics


@dataclass(frozen=True, slots=True)
class Services:
    """What every channel of a gateway shares."""

    jwt_secret: str
    feed: Feed
    topics: Topics
    presence: Presence
    policies: Policies
    messages: Messages
    replay: Replay
    limits: Limits
    rates: Rates
    outgoing: Outgoing
