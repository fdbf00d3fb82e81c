"""Context of an evaluation: metrics of other inputs on the same videos, and videos that never reached the shards."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from signrep_core.store.video_status import count_lost_videos


@dataclass(frozen=True)
class Comparison:
    """Baselines and counts that an evaluation reports with its figures."""

    baselines: Mapping[str, str | Path] = field(default_factory=dict)  # metrics files on the same videos, by name
    videos: Sequence[str | Path] | None = None  # tables of the shards' videos; None = lost ones are not counted
    provenance: Mapping[str, str] = field(default_factory=dict)  # how the evaluation was made

    def metrics(self) -> dict[str, Any]:
        """Metrics of the baselines that have any."""
        found = {name: json.loads(Path(path).read_text("utf-8"))["metrics"] for name, path in self.baselines.items()}
        return {name: values for name, values in found.items() if values}

    def lost(self, dataset: str, label: Literal["gloss", "text"]) -> dict[str, dict[str, int]] | None:
        """Labelled videos of a data set that never reached the shards, by split and reason."""
        return None if self.videos is None else count_lost_videos(self.videos, dataset, label)
