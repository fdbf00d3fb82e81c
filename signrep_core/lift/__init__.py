"""From 2-D joints to joint angles: the lifter, its detector-error model, its training and calibration."""

from pathlib import Path
from typing import Final

LIFTER_WEIGHTS: Final = Path(__file__).parent / "weights" / "lifter.safetensors"  # shipped with the package
