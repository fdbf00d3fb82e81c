"""The account of a shard: what became of every video of the sheet, one row each (table `schemas.VIDEOS`).

probe opens it, each later stage settles the videos that end there, and none is ever dropped from it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from signrep_core.errors import REASONS
from signrep_core.store.schemas import TEXT, VIDEOS, Column
from signrep_core.store.tables import Columns, read_table

OVERLONG_S: Final = 0.2  # a span that lacks no more is whole: spans are rounded, and a last frame has no end of its own
SETTLED = ("excluded", "rejected")
STATUSES = ("ok", *SETTLED)


class Outcome(NamedTuple):
    """What became of a video that goes no further."""

    status: str  # excluded or rejected
    reason: str  # a key of errors.REASONS
    detail: str


def new_account(rows: Iterable[Any]) -> Columns:
    """The account of rows of the sheet (`sources.sheet.Row`): all ok, with zeros for what probe has to find out."""
    rows = list(rows)
    account = {column.name: _new_column(column, rows) for column in VIDEOS.columns}
    account["status"] = ["ok"] * len(rows)
    return account


def settle(account: Columns, outcomes: Mapping[str, tuple[str, str, str]]) -> Columns:
    """A copy of an account with the outcome (status, reason, detail) of some of its ok videos.

    Args:
        outcomes: by video_id; statuses of SETTLED, reasons of `errors.REASONS`.

    Raises:
        ValueError: a video that the account does not hold or that is settled already, or an unknown status or reason.
    """
    places = {video_id: place for place, video_id in enumerate(account["video_id"])}
    settled = {name: list(account[name]) for name in ("status", "reason", "detail")}
    for video_id, (status, reason, detail) in outcomes.items():
        if video_id not in places:
            raise ValueError(f"the account holds no video {video_id!r}, which was to be {status} as {reason}")
        if status not in SETTLED:
            raise ValueError(f"unknown status {status!r} of video {video_id!r}; expected one of {SETTLED}")
        if reason not in REASONS:
            raise ValueError(f"unknown reason {reason!r} of video {video_id!r}; add it to signrep_core.errors.REASONS")
        place = places[video_id]
        if account["status"][place] != "ok":
            raise ValueError(f"video {video_id!r} is {account['status'][place]} already, as {account['reason'][place]}")
        settled["status"][place], settled["reason"][place], settled["detail"][place] = status, reason, detail
    return {**account, **settled}


def annotate(account: Columns, notes: Mapping[str, str]) -> Columns:
    """A copy of an account with a note added to the details of some of its ok videos, by video_id."""
    details = [
        "; ".join(filter(None, (detail, notes.get(video_id)))) if status == "ok" else detail
        for video_id, status, detail in zip(account["video_id"], account["status"], account["detail"], strict=True)
    ]
    return {**account, "detail": details}


def overlong_spans(account: Columns) -> dict[str, float]:
    """The ok videos whose span ends after the video does: by video_id the seconds that are not there.

    Args:
        account: its columns `video_id`, `status`, `start`, `end` and `duration_s` (of what is there) are read.
    """
    start, end = (np.ma.filled(np.ma.asarray(account[name], float), 0) for name in ("start", "end"))
    lacking = end - start - np.asarray(account["duration_s"], float)
    found = zip(account["video_id"], account["status"], lacking, strict=True)
    return {video_id: float(seconds) for video_id, status, seconds in found if status == "ok" and seconds > OVERLONG_S}


def lost_videos(accounts: Iterable[str | Path], dataset: str, needed: str) -> dict[str, dict[str, int]]:
    """How many of a data set's videos never reached the shards: split -> reason -> videos, a shard in memory at a time.

    Args:
        accounts: files of the final accounts.
        needed: `gloss` or `text`: only videos that have one count.
    """
    lost: dict[str, Counter[str]] = {}
    for path in accounts:
        account = read_table(path, VIDEOS, ("dataset", "split", "reason", needed))
        rows = zip(account["dataset"], account["split"], account["reason"], account[needed], strict=True)
        for name, split, reason, label in rows:
            if name == dataset and reason and label:
                lost.setdefault(split, Counter())[reason] += 1
    return {split: dict(reasons) for split, reasons in sorted(lost.items())}


def summarise(accounts: Iterable[Columns | str | Path]) -> dict[tuple[str, str], int]:
    """Count videos by (status, reason) over accounts or their files, a shard in memory at a time.

    ("ok", "") is always there; the others only where videos have them, in the order of `errors.REASONS`.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for account in accounts:
        if isinstance(account, str | Path):
            account = read_table(account, VIDEOS, ("status", "reason"))
        counts.update(zip(account["status"], account["reason"], strict=True))
    order = ["", *REASONS]
    ended = sorted(
        (ending for ending in counts if ending != ("ok", "")),
        key=lambda ending: (STATUSES.index(ending[0]), order.index(ending[1])),
    )
    return {ending: counts[ending] for ending in [("ok", ""), *ended]}


def _new_column(column: Column, rows: list[Any]) -> Any:
    values = [getattr(row, column.name, None) for row in rows]
    if column.dtype == TEXT:
        return [value or "" for value in values]
    dtype = column.dtype.to_pandas_dtype()
    if column.nullable:
        return np.ma.MaskedArray(np.array([value or 0 for value in values], dtype), [value is None for value in values])
    return np.array([value or 0 for value in values], dtype)
