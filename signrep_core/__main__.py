"""The command `signrep`, also `python -m signrep_core`: the functions of the workflow's rules, called by hand."""

import argparse
import logging
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from signrep_core.commands import (
    ablate,
    angles,
    bench,
    browse,
    config,
    convert,
    doctor,
    explain,
    export,
    features,
    figures,
    import_poses,
    lift,
    overlay,
    plan,
    pose,
    pretrain,
    report,
    search,
    sheet,
    status,
    synthesize,
    train,
    verify,
)
from signrep_core.errors import SignRepError
from signrep_core.extras import optional_packages

COMMANDS = (
    doctor,
    sheet,
    synthesize,
    plan,
    pretrain,
    ablate,
    bench,
    convert,
    pose,
    features,
    search,
    figures,
    train,
    lift,
    angles,
    status,
    report,
    overlay,
    browse,
    verify,
    export,
    import_poses,
    explain,
    config,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; after a SignRepError print its message and return 2."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(words)
    options.command = shlex.join(["signrep", *words])
    _expand_home(options)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        with optional_packages():
            return options.run(options) or 0
    except SignRepError as error:
        print(f"signrep: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def _expand_home(options: argparse.Namespace) -> None:
    """Expand `~/` at the beginning of arguments, since shells do not do it in `--out=~/features.parquet`."""
    for name, value in vars(options).items():
        if isinstance(value, str | Path) and str(value).startswith("~/"):
            setattr(options, name, type(value)(os.path.expanduser(value)))


class Help(argparse.HelpFormatter):
    """Keep the line breaks of examples, so that each command can be copied."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith("example") else super()._fill_text(text, width, indent)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="signrep",
        description="SignRep's commands. Snakemake runs the stages of the workflow: see README.md.",
        epilog="examples:\n"
        "  signrep doctor\n"
        "  signrep sheet folder my_videos --out videos.tsv\n"
        "  signrep COMMAND --help",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    for _, below in walk(parser):
        below.formatter_class = Help
    return parser


def walk(
    parser: argparse.ArgumentParser, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Yield a parser and all parsers below it, each with the words that lead to it."""
    yield path, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield from walk(below, (*path, name))


if __name__ == "__main__":
    sys.exit(main())
