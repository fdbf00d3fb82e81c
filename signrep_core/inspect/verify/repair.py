"""Remove broken files, so that the workflow makes them again."""

import logging
import os
from collections.abc import Iterable

from signrep_core.errors import RecordError
from signrep_core.inspect.compare import OTHER_PARAMS, OTHER_SHARDS, UNRECORDED
from signrep_core.inspect.verify.problems import Problem, Results
from signrep_core.store.layout import OUTPUTS, TRAINED, find_output
from signrep_core.store.records import read_record, record_path

log = logging.getLogger(__name__)


def repair(results: Results, problems: Iterable[Problem]) -> list[str]:
    """Remove the files that problems name, with their records; returns the names of the removed files.

    For a file that is no declared output of its rule (a rendered video), the outputs of the rule are removed as well.
    Trained weights without a record are kept: somebody may have trained them by hand. Whole files that were made with
    other settings or from other shards are kept until the workflow has made them again.
    """
    removed = []
    broken = {
        problem.file
        for problem in problems
        if problem.what not in (OTHER_PARAMS, OTHER_SHARDS)
        and not (problem.what == UNRECORDED and _is_trained(problem.file))
    }
    for name in sorted(broken):
        for victim in dict.fromkeys([name, *_outputs_of_its_rule(results, name)]):
            path = results.path(victim)
            if not os.path.abspath(path).startswith(os.path.abspath(results.root) + os.sep):
                continue  # a record that points outside the folder
            if path.is_file() or path.is_symlink():
                path.unlink()
                removed.append(victim)
            record_path(path).unlink(missing_ok=True)
    log.info("removed %d files", len(removed))
    return removed


def _is_trained(name: str) -> bool:
    return name.split("/")[0] in TRAINED


def _outputs_of_its_rule(results: Results, name: str) -> list[str]:
    """Outputs of the rule that made a file, if the file is not one of them."""
    if find_output(name) is not None:
        return []
    try:
        record = read_record(results.path(name))
    except RecordError:
        record = None
    if record is not None:
        return [] if name in record.outputs else record.outputs
    # Without a record, only the demo's videos can be assigned to a rule.
    truths = next(output.pattern for output in OUTPUTS if output.rule == "synthesize")
    folder = results.path(truths).parent
    return [results.name(path) for path in sorted(folder.glob("*.parquet"))] if name.startswith("synthetic/") else []
