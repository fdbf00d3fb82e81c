"""Public names of the skeleton's kinematics: angles to joints and landmarks to angles (supplement A1)."""

from signrep_core.body.forward import (
    Frame,
    forward_kinematics,
    hand_signs,
    palm_frame,
    root_frame,
    rotate,
    rotate_euler,
    wrist_angles,
)
from signrep_core.body.inverse import Solution, solve_angles
from signrep_core.body.quality import Quality

__all__ = [
    "Frame",
    "Quality",
    "Solution",
    "forward_kinematics",
    "hand_signs",
    "palm_frame",
    "root_frame",
    "rotate",
    "rotate_euler",
    "solve_angles",
    "wrist_angles",
]
