"""Pose: the signer's joints in every frame by a detector, and the lifter that makes angles of them."""

from pathlib import Path
from typing import Final

LIFTER_WEIGHTS: Final = Path(__file__).parent / "weights" / "lifter.safetensors"  # those that ship
