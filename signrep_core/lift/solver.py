"""The solver that the configuration names: a video's pose in, its `Solution` out.

Legend: T frames, J = 61 joints.
"""

from collections.abc import Callable, Mapping
from typing import Any

from signrep_core.body.inverse import Solution, solve_angles
from signrep_core.config import Solver
from signrep_core.lift.lift_video import lift, solve_lifted
from signrep_core.lift.lifter import Lifter, load_lifter
from signrep_core.lift.refine import Expected, refine_solution

Columns = Mapping[str, Any]  # of schemas.POSE, one video


def open_solver(
    solver: Solver, weights: str | None, max_gap: int, expected: Expected | None = None
) -> Callable[[Columns], Solution]:
    """What gives a video's `Solution` from its pose.

    Args:
        solver: `closed_form`, `lifter`, or `lifter_refined`: the lifter's angles brought to where the joints were seen.
        weights: of the lifter; None: those that ship.
        max_gap: over at most so many frames missing angles are interpolated in time.
        expected: what the detector errs by, taken off before refining, (T, 61, 2); None: nothing.

    Raises:
        CheckpointError: the weights cannot be read, or are not a lifter's.
    """
    if solver == "closed_form":
        return lambda pose: solve_angles(pose["landmarks"], pose["confidence"], max_gap=max_gap)
    lifter = load_lifter(weights)
    refine = solver == "lifter_refined"
    return lambda pose: _solve(lifter, pose, max_gap, refine, expected)


def _solve(lifter: Lifter, pose: Columns, max_gap: int, refine: bool, expected: Expected | None) -> Solution:
    seen = pose["image_xy"], pose["confidence"]
    video = lift(lifter, *seen)
    solution = solve_lifted(video, *seen, max_gap)
    return refine_solution(video, solution, *seen, expected) if refine else solution
