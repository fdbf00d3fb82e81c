"""The benchmark of the lifter: real hands and arms that it never saw, rendered signers, gaps, real clips."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Final

from signrep_core.bench.figures import Figure
from signrep_core.bench.real_motion import measure_arms, measure_hands, with_motion
from signrep_core.bench.rendered_signers import (
    GOALS,
    Video,
    measure_clips,
    measure_truth,
    real_clips,
    rendered,
    with_errors,
)
from signrep_core.lift.detector_errors import load_errors
from signrep_core.lift.lifter import load_lifter
from signrep_core.lift.real_motion import HELD_OUT, load_real_motion
from signrep_core.lift.solver import Solve, open_solver
from signrep_core.synthetic.clips import make_bank

Parts = Mapping[str, Callable[[], Iterable[Figure]]]

PEOPLE: Final = (6, 991)  # synthetic signers whom no training sees: their number and seed
GAPS: Final = ("wide", "low", "turned", "child", "long")


def motion_parts(weights: Path | None, motion: Path | None) -> Parts:
    """Held-out real motion and synthetic motion under the same protocol, without videos."""
    lifter, real, errors = load_lifter(weights), load_real_motion(motion), load_errors()
    bank = make_bank(*PEOPLE)
    parts: dict[str, Callable[[], Iterable[Figure]]] = {}
    for part, measure in (("hands", measure_hands), ("arms", measure_arms)):
        own = with_motion(bank, part, real, HELD_OUT[part])
        parts[f"real {part}"] = partial(measure, lifter, own, None)
        parts[f"real {part}, detector errors"] = partial(measure, lifter, own, errors)
        parts[f"synthetic {part}"] = partial(measure, lifter, bank, None, real=False)
        parts[f"synthetic {part}, detector errors"] = partial(measure, lifter, bank, errors, real=False)
    return parts


def video_parts(weights: Path | None, folder: Path, clips: Path | None) -> Parts:
    """Rendered signers, gaps and real clips, by the lifter and by the closed form.

    Args:
        weights: of the lifter; None: those that ship.
        folder: where rendered videos and poses are kept.
        clips: folder of real clips, `asl_*.mkv`; None: none.
    """
    lifter = open_solver("lifter", None if weights is None else str(weights), 5)
    closed_form = open_solver("closed_form", None, 5)
    videos = cache(lambda name: list(rendered(name, folder)))

    def truth(name: str, solve: Solve, goals: Mapping[str, float], amplitude: float | None = None) -> Iterator[Figure]:
        found: list[Video] = videos(name)
        changed = found if amplitude is None else [with_errors(video, amplitude) for video in found]
        return measure_truth(changed, solve, goals)

    def real(clips: Path, solve: Solve, goals: Mapping[str, float]) -> Iterator[Figure]:
        return measure_clips(list(real_clips(clips, folder)), solve, goals)

    parts: dict[str, Callable[[], Iterable[Figure]]] = {}
    for solver, solve, goals in (("lifter", lifter, GOALS), ("closed form", closed_form, {})):
        parts[f"rendered signers, {solver}"] = partial(truth, "unseen", solve, goals)
        parts |= {f"{gap}, {solver}": partial(truth, gap, solve, {}) for gap in GAPS}
        parts[f"no errors, {solver}"] = partial(truth, "unseen", solve, {}, 0.0)
        parts[f"other errors, {solver}"] = partial(truth, "unseen", solve, {}, 2.0)
        if clips:
            parts[f"real clips, {solver}"] = partial(real, clips, solve, goals)
    return parts
