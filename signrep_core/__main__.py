"""`python -m signrep_core`: what people call by hand; the same functions as the workflow's rules."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from signrep_core.errors import SignRepError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; an error of SignRep's is one message on the terminal and exit status 2."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        options.run(options)
    except SignRepError as error:
        print(f"signrep: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m signrep_core", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    sheet = commands.add_parser("sheet", help="list videos as the sheet that the workflow reads")
    sources = sheet.add_subparsers(required=True, metavar="SOURCE")
    folder = sources.add_parser(
        "folder",
        help="every video below a folder",
        epilog="example: python -m signrep_core sheet folder my_videos --out videos.tsv",
    )
    folder.add_argument("folder", type=Path, help="searched with its subfolders")
    folder.add_argument("--out", type=Path, required=True, help="the sheet to write, for example videos.tsv")
    folder.add_argument("--dataset", help="name of the data set (default: the folder's name)")
    folder.add_argument("--split", default="train", help="split of all videos (default: train)")
    folder.set_defaults(run=_sheet_folder)

    synthesize = commands.add_parser(
        "synthesize",
        help="render a corpus of procedural signers with its sheet and true joints",
        epilog="example: python -m signrep_core synthesize --signers 6 --glosses 10 --takes 2 --out synthetic",
    )
    synthesize.add_argument("--signers", type=int, default=6, help="people (default: 6)")
    synthesize.add_argument("--glosses", type=int, default=6, help="different signs (default: 6)")
    synthesize.add_argument("--takes", type=int, default=1, help="performances per signer and sign (default: 1)")
    synthesize.add_argument("--size", type=int, default=320, help="picture side in pixels (default: 320)")
    synthesize.add_argument("--seed", type=int, default=0, help="the same seed gives the same corpus (default: 0)")
    synthesize.add_argument("--kind", choices=("isolated", "pretraining", "sentences"), default="isolated")
    synthesize.add_argument("--processes", type=int, default=2, help="videos rendered at a time (default: 2)")
    synthesize.add_argument("--device", help="torch device to render on in batches, for example cuda (default: numpy)")
    synthesize.add_argument("--out", type=Path, required=True, help="folder for videos.tsv, videos/ and truth.parquet")
    synthesize.set_defaults(run=_synthesize)

    pretrain = commands.add_parser(
        "pretrain",
        help="train on packed shards, or go on with a run that was stopped",
        epilog="example: python -m signrep_core pretrain --shards shards --out pretrain/my_run "
        "--configfile configs/youtube_sl_25.yaml",
    )
    pretrain.add_argument("--shards", type=Path, required=True, help="folder of packed shards")
    pretrain.add_argument("--out", type=Path, required=True, help="the run's folder")
    pretrain.add_argument("--configfile", help="YAML with the sections that differ from the defaults")
    pretrain.add_argument("--validation", type=Path, help="shards to select the weights on (default: --shards)")
    pretrain.add_argument("--devices", type=int, default=1, help="GPUs, or processes on a CPU (default: 1)")
    pretrain.add_argument(
        "--nodes", type=int, default=1, help="machines that torchrun or srun started it on (default: 1)"
    )
    pretrain.set_defaults(run=_pretrain)

    convert = commands.add_parser(
        "convert",
        help="a released checkpoint to weights that SignRep.load and pretraining read",
        epilog="example: python -m signrep_core convert mae_hiera_base_16x224.pth --out hiera.safetensors",
    )
    convert.add_argument("checkpoint", type=Path, help="the SignRep release or Meta's mae_hiera_base_16x224")
    convert.add_argument("--out", type=Path, required=True, help="the safetensors file to write")
    convert.set_defaults(run=_convert)

    config = commands.add_parser("config", help="print config.yaml: every key with its default and its reason")
    config.set_defaults(run=_config)
    return parser


def _sheet_folder(options: argparse.Namespace) -> None:
    from signrep_core.sources.folder import list_folder
    from signrep_core.sources.sheet import write_sheet

    rows = list_folder(options.folder, dataset=options.dataset, split=options.split)
    write_sheet(options.out, rows)
    print(f"{options.out}: {len(rows)} videos")


def _synthesize(options: argparse.Namespace) -> None:
    from signrep_core.synthetic.corpus import write_corpus

    write_corpus(
        options.out,
        signers=options.signers,
        glosses=options.glosses,
        takes=options.takes,
        seed=options.seed,
        size=options.size,
        kind=options.kind,
        processes=options.processes,
        device=options.device,
    )


def _pretrain(options: argparse.Namespace) -> None:
    from signrep_core.config import Config, load_config_file
    from signrep_core.train.pretrain import PretrainSettings, pretrain

    config = load_config_file(options.configfile) if options.configfile else Config()
    pretrain(
        options.shards,
        options.out,
        PretrainSettings.from_config(config.pretrain, config.seed),
        workers=config.pretrain.workers,
        devices=options.devices,
        nodes=options.nodes,
        validation=options.validation,
    )


def _convert(options: argparse.Namespace) -> None:
    from signrep_core.model.convert import convert_checkpoint

    convert_checkpoint(options.checkpoint, options.out)


def _config(options: argparse.Namespace) -> None:
    from signrep_core.config import default_yaml

    sys.stdout.write(default_yaml())


if __name__ == "__main__":
    sys.exit(main())
