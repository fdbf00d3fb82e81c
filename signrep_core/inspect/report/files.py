"""The files that the report of a run is made from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from signrep_core.errors import TableError
from signrep_core.store.layout import (
    BASELINES,
    METRICS,
    OPTIONAL_RULE,
    PER_DATASET,
    PER_RECOGNITION,
    PER_RUN,
    PER_SHARD,
    PER_TRANSLATION,
    WHOLE,
    Output,
    shard_table,
)
from signrep_core.store.schemas import VIDEOS

TASKS = (PER_DATASET, PER_RECOGNITION, PER_TRANSLATION)  # retrieval, recognition, translation


@dataclass(frozen=True)
class ReportFiles:
    """Files of one run by their content: the inputs of the rule `report`, under the same names.

    A file that does not exist yet is None, or missing from its list.
    """

    results: Path  # folder that holds them all
    run: str
    videos: Sequence[Path]  # final status of every video
    statistics: Sequence[Path] = ()
    bones: Sequence[Path] = ()
    tables: Sequence[Path] = ()  # the first shard's tables, for their metadata
    features: Sequence[Path] = ()
    scores: Sequence[Path] = ()  # metrics of the data sets
    figures: Sequence[Path] = ()  # drawn by other stages
    summary: Path | None = None
    overlap: Path | None = None
    index: Path | None = None  # of the shards
    training: Path | None = None  # metrics of the pretraining


def find_files(results: Path, run: str) -> ReportFiles:
    """List the files that a run has written so far.

    Raises:
        TableError: the folder has no table of videos, so nothing has run there.
    """
    videos = sorted(results.glob(shard_table(VIDEOS, "*")))
    if not videos:
        raise TableError(f"{results}: holds no videos/*.parquet, so there is nothing to report; run the workflow first")
    scores = list(_find_scores(results, run))
    figures = [_find(results, PER_RUN, "augmented_{run}.png", run=run)]
    figures += [figure for group, path in scores for figure in _figures_of(results, group, path)]
    shard = videos[0].stem
    tables = [
        results / output.path(shard=shard) for output in PER_SHARD if output.schema and output.rule != OPTIONAL_RULE
    ]
    return ReportFiles(
        results,
        run,
        videos,
        statistics=sorted(results.glob("statistics/*.json")),
        bones=sorted(results.glob("bones/*.json")),
        tables=[path for path in tables if path.is_file()],
        features=sorted(results.glob(f"features/{run}/*.parquet")),
        scores=[path for _, path in scores],
        figures=[path for path in figures if path],
        summary=_find(results, WHOLE, "summary.json"),
        overlap=_find(results, WHOLE, "overlap.tsv"),
        index=_find(results, WHOLE, "index.parquet"),
        training=_find(results, PER_RUN, METRICS, run=run),
    )


def _find_scores(results: Path, run: str) -> Iterator[tuple[Sequence[Output], Path]]:
    """Each task's outputs with one of its metrics files: those of the run and of the baselines."""
    kinds = (run, *(Path(output.pattern).parent.name for output in BASELINES))
    for group in TASKS:
        metrics = _output(group, "{dataset}.json")
        for kind in kinds:
            yield from ((group, path) for path in sorted(results.glob(metrics.path(run=kind, dataset="*"))))


def _figures_of(results: Path, group: Sequence[Output], scores: Path) -> list[Path | None]:
    """The figures that are drawn together with a metrics file."""
    names = [Path(output.pattern).name for output in group if output.pattern.endswith(".png")]
    return [_find(results, group, name, run=scores.parent.name, dataset=scores.stem) for name in names]


def _find(results: Path, group: Sequence[Output], name: str, **wildcards: str) -> Path | None:
    """The output with this file name, if it exists."""
    path = results / _output(group, name).path(**wildcards)
    return path if path.is_file() else None


def _output(group: Sequence[Output], name: str) -> Output:
    return next(output for output in group if Path(output.pattern).name == name)
