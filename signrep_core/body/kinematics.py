"""The kinematics of the sign skeleton, both ways: angles to joints and landmarks to angles (supplement A1).

The published names; `forward`, `inverse` and `quality` hold them.
"""

from signrep_core.body.forward import Frame, forward_kinematics, hand_base, hand_signs, root_frame, turn, turns

__all__ = [
    "Frame",
    "forward_kinematics",
    "hand_base",
    "hand_signs",
    "root_frame",
    "turn",
    "turns",
]
