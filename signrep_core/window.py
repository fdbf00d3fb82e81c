"""The length of a window, which every stage shares (paper, section 4; supplement A2)."""

from typing import Final

WINDOW: Final = 16  # consecutive frames; a shorter video or sequence is rejected
