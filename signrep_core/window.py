"""The length of a window, which every stage shares (supplement A2)."""

from typing import Final

WINDOW: Final = 16  # consecutive frames; a shorter video or sequence is rejected
