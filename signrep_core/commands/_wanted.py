"""The files wanted by the sheet as it is now and the configuration of the last run, or a given one."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from signrep_core.inspect.wanted import Wanted


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that name the configuration and the sheet."""
    parser.add_argument("--configfile", help="YAML of the run (default: the configuration of the last run)")
    parser.add_argument("--sheet", help="the sheet (default: that of the configuration)")


def find_wanted(results: Path, configfile: str | None = None, sheet: str | None = None) -> "Wanted | str":
    """Read the configuration and the sheet of a results folder; the text says why this is not possible.

    Raises:
        SignRepError: a configuration or sheet that was given cannot be read, or the sheet has an error.
    """
    from signrep_core.config import workflow_config
    from signrep_core.inspect.status import config_of
    from signrep_core.inspect.wanted import Wanted
    from signrep_core.synthetic.corpus import planned_rows

    config = workflow_config(configfile) if configfile else config_of(results)
    if config is None:
        return "no record tells the configuration of the run; give it with --configfile"
    config = config.model_copy(update={"results": str(results), "sheet": sheet or config.sheet})
    if sheet is None and config.sheet is not None and not Path(config.sheet).exists():
        return f"the sheet {config.sheet} is gone; if it was moved, give it with --sheet"
    return Wanted(config, planned_rows(config))
