"""From 2-D joints to joint angles: the lifter, its detector-error model, its training and calibration."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from signrep_core.body.inverse import Solution

LIFTER_WEIGHTS: Final = Path(__file__).parent / "weights" / "lifter.safetensors"  # shipped with the package


def solve_angles(image_xy: "NDArray[np.floating]", confidence: "NDArray[np.floating]", fps: float = 25) -> "Solution":
    """Joint angles of one video by the lifter that ships.

    Args:
        image_xy: (T, 61, 2) pixels; NaN where missing.
        confidence: (T, 61) of the detector, 0 where missing.
        fps: frames per second; the lifter knows motion of about 25, so other rates are resampled.

    Returns:
        An object with `body_angles` (T, 22), `right_angles` and `left_angles` (T, 41) in radians, and `confidence`
        (T, 61), the probability that a joint is near the truth.

    Raises:
        SignRepError: the shapes are others, or `fps` is not positive.
    """
    # Here, since what else imports this package needs no torch, which takes seconds to import.
    from signrep_core.lift.lift_video import solve_at_rate
    from signrep_core.lift.lifter import load_lifter

    return solve_at_rate(load_lifter(), image_xy, confidence, fps)
