"""Fixtures that several test packages share."""

import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.faults.site import Site
from tests.faults.site import build as build_site
from tests.once import build_once
from tests.store.built import Built, build_results

CLIPS = Path(__file__).parent / "data" / "clips"
ALL_CLIPS = Path(__file__).parents[2] / "shared" / "clips"

# No test is timed: a machine may be slow, or busy with another test.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# In this order, the two runs that others wait for begin first, one in each of two processes.
LONGEST = ("tests/faults/test_faults.py", "tests/workflow/test_end_to_end.py", "tests/workflow/", "tests/faults/", "")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the files that take longest, so that no process is alone with them at the end."""
    items.sort(key=lambda item: next(i for i, start in enumerate(LONGEST) if item.nodeid.startswith(start)))


@pytest.fixture(scope="session")
def clips() -> Path:
    """The folder of real clips: three signers, and a car park without people."""
    return CLIPS


@pytest.fixture(scope="session")
def all_clips() -> Path:
    """The folder of all eighteen real clips, beside the repository."""
    if not ALL_CLIPS.is_dir():
        pytest.skip(f"the eighteen clips are not at {ALL_CLIPS}: four of them are in {CLIPS}")
    return ALL_CLIPS


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small finished results folder; not to be changed."""
    from tests.finished import Builder

    return build_once(tmp_path_factory, "finished", lambda folder: Builder(folder).build())


@pytest.fixture
def scratch(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished results folder that a test may damage."""
    return Path(shutil.copytree(finished, tmp_path / "results"))


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Shard 00000 with three sequences, and shard 00001 in which nobody is seen; packed and indexed."""
    return build_once(tmp_path_factory, "packed", build_results)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Rendered signers that have gone through the whole workflow; only tests/faults may disturb `results`."""
    return build_once(tmp_path_factory, "site", build_site)
