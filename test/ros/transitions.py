"""Leads the node through its lifecycle."""

from __future__ import annotations

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState

from dtp_stereo_ros.ros.service_caller import Caller

WAIT_S = 30.0


def change(transition: int) -> bool:
    """Whether the node did what the number in `Transition` asks for."""
    # No transition has that name, so that it is refused in every state.
    nothing = ChangeState.Request(transition=Transition(label='nothing'))
    with Caller(ChangeState, '/depth_node/change_state', WAIT_S, harmless=nothing) as caller:
        reply = caller.call(ChangeState.Request(transition=Transition(id=transition)))
    return bool(reply.success)
