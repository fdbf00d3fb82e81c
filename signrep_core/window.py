"""The length of a window, which every stage shares (supplement A2)."""

from typing import Final

WINDOW: Final = 16  # consecutive frames; shorter videos are rejected for pretraining, and padded in evaluation
