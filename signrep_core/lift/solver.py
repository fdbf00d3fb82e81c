"""The two solvers of joint angles, by their names in the configuration.

Legend: T frames, J = 61 joints.
"""

from collections.abc import Callable, Mapping
from typing import Any

from signrep_core.body.inverse import Solution, solve_angles
from signrep_core.config import Solver

Columns = Mapping[str, Any]  # of schemas.POSE, one video
Solve = Callable[[Columns], Solution]


def open_solver(solver: Solver, weights: str | None, max_gap: int) -> Solve:
    """Open the function that solves one video: its columns of schemas.POSE to its `Solution`.

    Args:
        solver: `closed_form` or `lifter`.
        weights: file of the lifter's weights; None: those that ship with the package.
        max_gap: longest gap in frames over which missing angles are interpolated in time.

    Raises:
        CheckpointError: the weights cannot be read, or are not a lifter's.
    """
    if solver == "closed_form":
        return lambda pose: solve_angles(pose["landmarks"], pose["confidence"], max_gap=max_gap)
    # Here, since what else imports this module needs no torch, which takes seconds to import.
    from signrep_core.lift.lift_video import solve_by_lifter
    from signrep_core.lift.lifter import load_lifter

    lifter = load_lifter(weights)
    return lambda pose: solve_by_lifter(lifter, pose["image_xy"], pose["confidence"], max_gap)
