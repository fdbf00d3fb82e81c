"""Fixtures that several test packages share."""

from pathlib import Path

import pytest

CLIPS = Path(__file__).parents[2] / "shared" / "clips"


@pytest.fixture(scope="session")
def clips() -> Path:
    """The folder of real licensed clips beside the repository; they are not part of it."""
    if not CLIPS.is_dir():
        pytest.skip(f"the real clips are not at {CLIPS} (they are shared beside the repository, not in it)")
    return CLIPS
