"""Fixtures that several test packages share."""

import shutil
from pathlib import Path

import pytest

from tests.store.built import Built, build_results

CLIPS = Path(__file__).parents[2] / "shared" / "clips"


@pytest.fixture(scope="session")
def clips() -> Path:
    """The folder of real licensed clips beside the repository; they are not part of it."""
    if not CLIPS.is_dir():
        pytest.skip(f"the real clips are not at {CLIPS} (they are shared beside the repository, not in it)")
    return CLIPS


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small finished results folder; not to be changed."""
    from tests.finished import Builder

    return Builder(tmp_path_factory.mktemp("finished")).build()


@pytest.fixture
def scratch(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished results folder that a test may damage."""
    return Path(shutil.copytree(finished, tmp_path / "results"))


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Shard 00000 with three sequences, and shard 00001 in which nobody is seen; packed and indexed."""
    return build_results(tmp_path_factory.mktemp("packed"))
