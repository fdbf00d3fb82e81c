"""Labels of the charts: units, groups and names."""

import numpy as np
import pandas as pd

from signrep_core.inspect.report.charts import draw_activity, draw_lengths, draw_timing, draw_training
from signrep_core.inspect.report.statistics import Statistics


def labels(axes):
    return [label.get_text() for label in axes.get_xticklabels()]


def test_lengths_are_labelled_in_seconds_at_the_run_s_rate():
    (axes,) = draw_lengths(Statistics(), 25.0).axes
    assert labels(axes)[0] == "0.04–1.3"
    assert labels(axes)[-2:] == ["82–164", "> 164"]


def test_videos_keep_their_names():
    active = np.array([True, False])
    (axes,) = draw_activity({"asl_no_A": (active, active), "x" * 40: (active, active)}, 25.0).axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["asl_no_A", "xxxxxxxxxx…xxxxxxxxxxxxx"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["right", "left", "inactive"]


def test_stages_are_labelled_with_their_jobs():
    stages = pd.DataFrame({"stage": ["extract_pose", "median_bones"], "jobs": [4, 1], "cpu_h": [0.5, 0.001]})
    (axes,) = draw_timing(stages).axes
    assert [text.get_text() for text in axes.texts] == ["30 in 4 jobs", "0.06 in 1 job"]
    assert axes.get_xlabel() == "core-minutes"


def test_training_metrics_are_grouped_and_none_is_missing():
    names = [
        "step",
        "body_angles",
        "activity",
        "loss",
        "variance",
        "adversarial",
        "std_z",
        "retrieval_R@1",
        "grad_norm",
    ]
    metrics = pd.DataFrame([range(len(names))], columns=names).assign(epoch=1, never=np.nan)
    parts = draw_training(metrics).subfigs
    shown = {part.get_suptitle(): [ax.get_title(loc="left") for ax in part.axes if ax.lines] for part in parts}
    assert shown == {
        "Loss: total and terms": ["loss", "body angles", "activity"],
        "Collapse indicators": ["variance", "std z"],
        "Style discriminator": ["adversarial"],
        "Validation": ["retrieval R@1"],
        "Run": ["grad norm"],
    }
