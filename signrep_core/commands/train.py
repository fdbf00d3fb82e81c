"""`train`: one command per kind of training besides pretraining, and the models that the pose stage ships with."""

import argparse
import sys
from pathlib import Path
from typing import Any

from signrep_core.commands._devices import add_devices
from signrep_core.text import normalise


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command's arguments, a subcommand for each kind."""
    train = commands.add_parser(
        "train",
        help="train what follows pretraining, or the models that the pose stage ships with",
        epilog="examples:\n"
        "  signrep train recognition --shards shards --dataset wlasl "
        "--weights pretrain/my_run/best.safetensors --out recognition/my_run/wlasl\n"
        "  signrep train lifter --out lifter",
    )
    kinds = train.add_subparsers(required=True, metavar="KIND")
    _add_recognition(kinds)
    _add_translation(kinds)
    _add_detector(kinds)
    _add_lifter(kinds)
    _add_calibration(kinds)


def _add_recognition(kinds: argparse._SubParsersAction) -> None:
    parser = kinds.add_parser(
        "recognition",
        help="glosses of isolated signs, from the weights of a pretraining or from keypoints",
        epilog="example: signrep train recognition --shards shards --dataset wlasl "
        "--weights pretrain/my_run/best.safetensors --out recognition/my_run/wlasl --configfile my.yaml",
    )
    parser.add_argument("--shards", type=Path, required=True, help="folder of packed shards")
    parser.add_argument("--dataset", type=normalise, required=True, help="name of the data set, as in the sheet")
    parser.add_argument("--weights", type=Path, help="of the pretraining (default: a network on keypoints instead)")
    parser.add_argument("--features", type=Path, help="of the data set under these weights (default: computed first)")
    parser.add_argument("--out", type=Path, required=True, help="the run's folder; OUT.json and OUT.parquet next to it")
    parser.add_argument("--configfile", help="YAML with the values that depart from the paper's (default: none)")
    add_devices(parser)
    parser.set_defaults(run=_recognition)


def _recognition(options: argparse.Namespace) -> None:
    from signrep_core.config import Config, load_config_file
    from signrep_core.evaluate.comparison import Comparison
    from signrep_core.evaluate.features import Inference
    from signrep_core.evaluate.recognition import write_evaluation
    from signrep_core.inspect.report.summary import format_recognition
    from signrep_core.store.job import is_first_process, open_job
    from signrep_core.train.launch import Devices
    from signrep_core.train.loop import RunSetup
    from signrep_core.train.recognition import Origin, train_recognition

    config = load_config_file(options.configfile) if options.configfile else Config()
    section = config.recognition
    weights, training, metrics, predictions = _outputs(options.out)
    shards = {"index": [options.shards / "index.parquet"], "info": [options.shards / "info.json"]}
    start = {"start": [options.weights] if options.weights else [], "features": [options.features or Path()]}
    about: Any = {"command": options.command, "config": config, "params": {"recognition": section.model_dump()}}
    with open_job([weights, training], {**shards, **start}, **about) as job:
        result = train_recognition(
            options.shards,
            section,
            RunSetup(options.out, config.seed, Devices(count=options.devices, nodes=options.nodes), job.provenance),
            Origin(options.dataset, options.weights, options.features),
        )
        if not result.finished:
            sys.exit(0)  # stopped by SIGTERM: its state is saved
    if not is_first_process():
        return  # of those that torchrun or srun started, the first one evaluates
    with open_job([metrics, predictions], {"weights": [weights], **shards}, **about) as job:
        _, found = write_evaluation(
            result.weights,
            options.shards,
            options.dataset,
            (metrics, predictions),
            Comparison(provenance=job.provenance),
            Inference(batch_size=section.batch_size, workers=section.workers),
        )
    print(format_recognition(options.dataset, found))


def _add_translation(kinds: argparse._SubParsersAction) -> None:
    parser = kinds.add_parser(
        "translation",
        help="sentences from frozen features",
        description="A Transformer; for the data sets of language_model.datasets a pretrained language model with "
        "adapters, which needs the extra [translation].",
        epilog="example: signrep train translation --features features/my_run/how2sign.parquet "
        "--index shards/index.parquet --dataset how2sign --out translation/my_run/how2sign "
        "--configfile configs/how2sign.yaml",
    )
    parser.add_argument("--features", type=Path, required=True, help="features table of the data set")
    parser.add_argument("--index", type=Path, required=True, help="index.parquet of the shards: splits and texts")
    parser.add_argument("--dataset", type=normalise, required=True, help="name of the data set, as in the sheet")
    parser.add_argument("--out", type=Path, required=True, help="the run's folder; OUT.json and OUT.parquet next to it")
    parser.add_argument("--configfile", help="YAML with the values that depart from the paper's (default: none)")
    add_devices(parser)
    parser.set_defaults(run=_translation)


def _translation(options: argparse.Namespace) -> None:
    from signrep_core.config import Config, load_config_file
    from signrep_core.evaluate.comparison import Comparison
    from signrep_core.evaluate.translation import write_evaluation
    from signrep_core.inspect.report.summary import format_translation
    from signrep_core.store.job import is_first_process, open_job
    from signrep_core.store.schemas import SEQUENCES
    from signrep_core.store.tables import read_table
    from signrep_core.train.launch import Devices
    from signrep_core.train.loop import RunSetup
    from signrep_core.train.translation import train_translation

    config = load_config_file(options.configfile) if options.configfile else Config()
    index = read_table(options.index, SEQUENCES)
    weights, training, metrics, translations = _outputs(options.out)
    inputs = {"features": [options.features], "index": [options.index]}
    settings = config.translator(options.dataset)
    params = {"translator": settings.model_dump(), "seed": config.seed}
    about: Any = {"command": options.command, "config": config, "params": params}
    with open_job([weights, training], inputs, **about) as job:
        result = train_translation(
            options.features,
            index,
            settings,
            RunSetup(options.out, config.seed, Devices(count=options.devices, nodes=options.nodes), job.provenance),
            options.dataset,
        )
        if not result.finished:
            sys.exit(0)  # stopped by SIGTERM: its state is saved
    if not is_first_process():
        return  # of those that torchrun or srun started, the first one evaluates
    with open_job([metrics, translations], {"weights": [weights], **inputs}, **about) as job:
        found = write_evaluation(
            result.weights,
            options.features,
            index,
            options.dataset,
            (metrics, translations),
            Comparison(provenance=job.provenance),
        )
    print(format_translation(options.dataset, found))


def _outputs(out: Path) -> tuple[Path, Path, Path, Path]:
    """Outputs of a kind with an evaluation: weights, metrics of the training, scores and a table."""
    scores, table = (out.with_name(f"{out.name}{suffix}") for suffix in (".json", ".parquet"))
    return out / "best.safetensors", out / "metrics.csv", scores, table


def _add_detector(kinds: argparse._SubParsersAction) -> None:
    parser = kinds.add_parser(
        "detector",
        help="measure the errors of the pose detector on rendered signers",
        epilog="example: signrep train detector --truth truth.parquet --pose pose.parquet --out detector.json",
    )
    parser.add_argument("--truth", type=Path, required=True, help="truth.parquet, as synthesize writes it")
    parser.add_argument("--pose", type=Path, required=True, help="the pose of those videos, as extract_pose writes it")
    parser.add_argument("--size", type=int, default=320, help="frame side in pixels (default: 320)")
    parser.add_argument("--out", type=Path, required=True, help="the error model, JSON")
    parser.set_defaults(run=run_detector)


def _add_lifter(kinds: argparse._SubParsersAction) -> None:
    parser = kinds.add_parser(
        "lifter",
        help="train the network that lifts 2-D joints to angles, or continue a stopped run",
        description="The workflow uses OUT/best.safetensors if the configuration names it in angles.lifter.",
        epilog="example: signrep train lifter --out lifter",
    )
    parser.add_argument("--out", type=Path, required=True, help="the run's folder")
    parser.add_argument("--steps", type=int, help="optimiser steps (default: 12000)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    parser.add_argument("--initial", type=Path, help="weights to start from (default: none)")
    parser.add_argument("--motion", type=Path, help="real motion, as `lift bank` writes it (default: the shipped file)")
    parser.add_argument("--causal", action="store_true", help="compute each frame's pose without later frames")
    parser.set_defaults(run=run_lifter)


def _add_calibration(kinds: argparse._SubParsersAction) -> None:
    parser = kinds.add_parser(
        "calibration",
        help="calibrate a lifter's confidence on rendered signers",
        epilog="example: signrep train calibration --weights lifter/best.safetensors "
        "--truth truth.parquet --pose pose.parquet --out lifter/calibrated.safetensors",
    )
    parser.add_argument("--weights", type=Path, help="of the lifter (default: those that ship)")
    parser.add_argument("--truth", type=Path, required=True, help="truth.parquet, as synthesize writes it")
    parser.add_argument("--pose", type=Path, required=True, help="the pose of those videos, as extract_pose writes it")
    parser.add_argument("--out", type=Path, required=True, help="the calibrated weights")
    parser.set_defaults(run=run_calibration)


def run_detector(options: argparse.Namespace) -> None:
    """Fit the detector's errors."""
    from signrep_core.lift.detector_errors import save_errors
    from signrep_core.lift.fit_detector_errors import fit_errors, read_pairs

    save_errors(fit_errors(read_pairs(options.truth, options.pose, (options.size, options.size))), options.out)


def run_lifter(options: argparse.Namespace) -> None:
    """Train the lifter, or continue a stopped run."""
    from signrep_core.lift.lifter import LifterConfig
    from signrep_core.lift.train import LifterSettings, train_lifter
    from signrep_core.synthetic.clips import make_bank

    steps = {} if options.steps is None else {"steps": options.steps}
    settings = LifterSettings(config=LifterConfig(causal=options.causal), seed=options.seed, **steps)
    train_lifter(options.out, settings, make_bank, initial=options.initial, motion=options.motion)


def run_calibration(options: argparse.Namespace) -> None:
    """Calibrate a lifter's confidence."""
    from signrep_core.lift.calibrate import calibrate_weights

    calibrate_weights(options.out, options.truth, options.pose, options.weights)
