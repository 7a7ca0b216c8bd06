"""The command line: `ec-descr-gen COMMAND`. Parses, runs, and turns what goes wrong into one line and an exit code.

Progress and logs go to stderr, results to stdout. Heavy imports wait until a command needs them.
"""

import argparse
import errno
import io
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.errors import RunError, UserError
from model.files import DISK_FULL
from model.text import SPLITS, is_utf8

if TYPE_CHECKING:
    from flows.show import Shown

WRONG_USE, RUN_FAILED, INTERRUPTED = 2, 1, 130
REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP, errno.ENAMETOOLONG}
FULL = {*DISK_FULL, errno.EIO}
LOOPBACK_NAMES = "127.0.0.1,localhost"
BASE_HELP = "what relative urls resolve against"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns 0 for success, 1 if the run failed, 2 for wrong use or bad input, 130 if stopped."""
    prepare_surroundings()
    options = make_parser().parse_args(arguments)
    try:
        set_up_logging()
        check_names(sys.argv[1:] if arguments is None else arguments)
        result, show = options.command(options)
        if result is not None:  # else the command has said everything itself
            _print(result, show, as_json=options.json)
    except UserError as error:
        return _fail(error, WRONG_USE)
    except RunError as error:
        return _fail(error, RUN_FAILED)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # what ends now, Prefect's server last, is not to be cut short
        print(f"ec-descr-gen: stopped; go on with: {options.again}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        _drop_stdout()
        return RUN_FAILED
    except OSError as error:
        if error.errno not in {*REFUSED, *FULL}:
            raise
        _drop_stdout()
        place = f"{error.filename}: " if error.filename else ""
        return _fail(f"{place}{error.strerror}", RUN_FAILED if error.errno in FULL else WRONG_USE)
    return 0


def check_names(arguments: Sequence[str]) -> None:
    """Check that every name can be written down.

    Raises:
        UserError: one is not UTF-8, as of files from old archives.
    """
    for one in arguments:
        if not is_utf8(one):
            raise UserError(f"{one!a} is not UTF-8, which files and servers here are written in: rename it")


def prepare_surroundings() -> None:
    """What the environment may lack, or have too much of."""
    # A proxy is for the world outside: behind it nobody finds the servers that run here.
    outside = os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")
    if LOOPBACK_NAMES not in outside and outside != "*":  # which means all only where it stands alone
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = f"{outside},{LOOPBACK_NAMES}".lstrip(",")
    # Who sets a password for Prefect's server alone means its clients too: without it ours would stay outside.
    if password := os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):
        os.environ.setdefault("PREFECT_API_AUTH_STRING", password)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who called
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show an ellipsis shows a question mark


def _print(result: Any, show: Callable[[Any], None], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(result, ensure_ascii=(sys.stdout.encoding or "utf-8").lower() != "utf-8"))
    else:
        show(result)
    sys.stdout.flush()  # what cannot be written is known here, not when the interpreter ends


def _drop_stdout() -> None:
    """What is still to be written cannot be: the interpreter would try once more at its end."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()
    with suppress(OSError, ValueError):  # no file, as under a test
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(error: Exception | str, code: int) -> int:
    line = " ".join(str(error).split())
    print(f"ec-descr-gen: {line}", file=sys.stderr)
    return code


def set_up_logging() -> None:
    """Our own lines to stderr, plainly; other libraries only when something is wrong."""
    from tasks.terminal import ConsoleHandler

    handler = ConsoleHandler()
    for name in ("flows", "tasks", "model"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.handlers = [handler]


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--workdir", type=workdir, default="workspace", help="datasets, runs, MLflow (./workspace)")
    # Not `resume`: where this run had not begun yet, that finds nothing, or another run.
    common.set_defaults(again="the same command")
    common.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    source = argparse.ArgumentParser(add_help=False)
    source.add_argument(
        "--catalog", required=True, metavar="FILE", help="JSON, JSON Lines, CSV or Parquet; may be gzipped"
    )
    source.add_argument("--image-base-url", default="", metavar="URL-or-FOLDER", help=BASE_HELP)

    settings, champions = settings_parser("default"), settings_parser(None)
    parser = argparse.ArgumentParser(
        prog="ec-descr-gen", description="A shop's catalogue in, a model that writes product descriptions out."
    )
    parser.add_argument("--version", action="version", version=version("ec-descr-gen"))
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, help_text: str, command: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        found = commands.add_parser(name, help=help_text, description=help_text, parents=[common, *parents])
        found.set_defaults(command=_late(command))
        return found

    demo = add(
        "demo", "make a catalogue, run the whole pipeline on it, show the scores", "demo.demo", settings_parser("demo")
    )
    demo.add_argument("--items", type=int, metavar="N", help="records in the catalogue")
    full = add("run", "the full pipeline", "commands.run", settings, source)
    data = add(
        "prepare", "the data stages: up to the two HDF5 files and the vocabulary", "commands.prepare", settings, source
    )
    again = add(
        "retrain", "on a new catalogue: the full pipeline, then promote the model if it beats the champion",
        "commands.retrain", champions, source,
    )  # fmt: skip
    for command in (full, data, again):
        command.add_argument(
            "--refresh-images",
            action="append_const",
            const="fetch.refresh=true",
            dest="assignments",
            help="fetch all pictures again, also those that are there already",
        )
    publish = add("publish", "hand a new catalogue to the running system", "publishing.publish")
    publish.add_argument("catalog", metavar="FILE", help="JSON, JSON Lines, CSV or Parquet; may be gzipped")
    publish.add_argument("--image-base-url", default="", metavar="URL-or-FOLDER", help=BASE_HELP)
    add("rollback", "give the champion alias back to the version before", "commands.rollback")
    resume = add("resume", "continue the last (or named) failed or killed run where it stopped", "commands.resume")
    resume.add_argument("run", nargs="?", metavar="RUN", help="a run's id, from `ec-descr-gen runs`")
    add("runs", "runs, and the command that resumes each", "commands.runs")
    evaluate = add("evaluate", "score a model on any catalogue", "commands.evaluate", settings, source)
    evaluate.add_argument("--model", required=True, metavar="URI_OR_DIR", help="models:/… or a folder")
    evaluate.add_argument(
        "--split", default="", metavar="NAME", choices=(*SPLITS, "all"), help=f"{', '.join(SPLITS)}, all (test, if any)"
    )
    evaluate.add_argument("--beam-size", type=int, metavar="K", help="beams of the search")
    describe = add(
        "describe",
        "write descriptions of pictures, or drafts for a catalogue",
        "describing.describe",
        assignments_parser(),
    )
    describe_options(describe)
    make = add("make-catalog", "draw a demo catalogue", "demo.make")
    make.add_argument("--items", type=int, required=True, metavar="N")
    make.add_argument("--out", type=Path, required=True, metavar="D")
    make.add_argument("--seed", type=int, default=0, metavar="S")
    serve = add("serve-images", "serve a folder's pictures on loopback until Ctrl-C", "demo.serve")
    serve.add_argument("folder", type=Path, metavar="DIR")
    serve.add_argument("--port", type=port, default=0, metavar="P", help="default: a free one")
    add_upkeep(add)
    _add_config(commands, common, settings)
    return parser


def describe_options(describe: argparse.ArgumentParser) -> None:
    """What `describe` can be given."""
    describe.set_defaults(again="the same command; with --out what is drafted is kept")
    describe.add_argument("pictures", nargs="*", metavar="PICTURE_OR_URL_OR_FOLDER")
    describe.add_argument("--catalog", metavar="FILE", help="describe a catalogue's products")
    describe.add_argument("--only-missing", action="store_true", help="only the products without a description")
    describe.add_argument("--image-base-url", default="", metavar="URL-or-FOLDER", help=BASE_HELP)
    describe.add_argument(
        "--out", type=Path, metavar="FILE", help="write to a .csv or .json file; goes on after a kill"
    )
    describe.add_argument("--model", metavar="URI_OR_DIR", help="models:/… or a folder; default: the champion")
    describe.add_argument("--beam-size", type=int, metavar="K", help="beams of the search")
    describe.add_argument(
        "--attention",
        type=Path,
        metavar="OUT",
        help="draw where the model looked: a .png or .svg, or a folder for several",
    )


def add_upkeep(add: Callable[..., argparse.ArgumentParser]) -> None:
    """The commands that keep the system running."""
    up = add("up", "Prefect's and MLflow's servers, a worker and the deployments, until Ctrl-C", "up.up")
    up.add_argument("--prefect-port", type=port, default=4200, metavar="P", help="of Prefect's pages and API (4200)")
    up.add_argument("--mlflow-port", type=port, default=5000, metavar="P", help="of MLflow's pages and API (5000)")
    up.add_argument("--timezone", default="", metavar="NAME", help="of the schedules; default: the machine's")
    up.add_argument("--auth", action="store_true", help="both servers ask for a password")
    clean = add("clean", "remove old datasets, and the checkpoints of finished runs", "cleaning.clean")
    clean.add_argument("--keep", type=int, default=2, metavar="N", help="datasets to keep beside those needed (2)")
    clean.add_argument(
        "--unfinished", action="store_true", help="give up failed, killed, refused and unreadable runs: they go"
    )


def workdir(text: str) -> Path:
    """A working directory, whose path stands in the addresses of databases and in MLflow's questions."""
    try:
        whole, in_the_way = str(Path(text).resolve()), Path(text).exists() and not Path(text).is_dir()
    except (OSError, RuntimeError) as error:  # too long, not to be entered; a loop of links, before Python 3.13
        raise argparse.ArgumentTypeError(
            f"{text} cannot be one ({getattr(error, 'strerror', None) or error})"
        ) from None
    if not is_utf8(whole):
        raise argparse.ArgumentTypeError(f"{whole!a} is not UTF-8: name a folder elsewhere")
    if wrong := sorted(set(whole) & set('%?#"')):
        raise argparse.ArgumentTypeError(f"{whole} holds {' '.join(wrong)}: choose a folder without such a character")
    if in_the_way:
        raise argparse.ArgumentTypeError(f"{text} is no folder: name one, which is made if it is not there")
    return Path(text)


def port(text: str) -> int:
    """A port's number."""
    number = int(text)
    if not 0 <= number < 65536:
        raise argparse.ArgumentTypeError(f"{number} is not in 0 to 65535")
    return number


def _add_config(commands: Any, *parents: argparse.ArgumentParser) -> None:
    config = commands.add_parser("config", help="every setting with description, unit, default")
    actions = config.add_subparsers(required=True, metavar="ACTION")
    show = actions.add_parser("show", parents=parents, help="every setting with its value")
    show.set_defaults(command=_late("commands.config_show"))
    explain = actions.add_parser("explain", parents=parents, help="one setting, or a section of them")
    explain.add_argument("key", metavar="KEY")
    explain.set_defaults(command=_late("commands.config_explain"))


def settings_parser(preset: str | None) -> argparse.ArgumentParser:
    """The options that fill the configuration; without a preset they change the settings of the champion."""
    parser = assignments_parser()
    names = "a named set of settings: default, paper, demo, flickr8k"
    parser.add_argument("--preset", default=preset, metavar="NAME", help=f"{names} ({preset or 'as the champion'})")
    return parser


def assignments_parser() -> argparse.ArgumentParser:
    """The options that set single settings."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--config", type=Path, metavar="FILE.yaml", help="settings from a file")
    parser.add_argument("--set", action="append", metavar="a.b=v", dest="assignments", help="one setting; repeatable")
    return parser


def _late(name: str) -> "Callable[[argparse.Namespace], Shown]":
    """A command of a module of this package, imported when it is called."""
    module, _, function = name.partition(".")

    def call(options: argparse.Namespace) -> "Shown":
        from importlib import import_module

        found: Shown = getattr(import_module(f"flows.{module}"), function)(options)
        return found

    return call


if __name__ == "__main__":
    sys.exit(main())
