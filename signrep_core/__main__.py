"""`python -m signrep_core`: what people call by hand; the same functions as the workflow's rules."""

import argparse
import logging
import sys
from collections.abc import Sequence

from signrep_core.commands import config, convert, features, pretrain, report, sheet, synthesize, train
from signrep_core.errors import SignRepError

COMMANDS = (sheet, synthesize, pretrain, convert, features, train, report, config)


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
    for command in COMMANDS:
        command.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
