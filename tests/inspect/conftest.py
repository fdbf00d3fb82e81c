"""Fixtures of what a person asks of a finished run."""

from pathlib import Path

import pytest

from signrep_core.inspect.status import config_of
from signrep_core.inspect.wanted import Wanted
from signrep_core.sources.sheet import read_sheet


@pytest.fixture
def wanted(scratch: Path) -> Wanted:
    """The files and params that sheet and configuration of the copied run ask for."""
    config = config_of(scratch)
    assert config is not None
    assert config.sheet is not None
    return Wanted(config, read_sheet(config.sheet))
