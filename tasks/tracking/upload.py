"""`python -m tasks.tracking.upload RUN_FOLDER…`: send what an unreachable tracking server did not take."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from model.errors import UserError
from tasks.tracking.config import TrackingConfig
from tasks.tracking.run import TrackedRun, is_tracked


def main(arguments: Sequence[str] | None = None) -> int:
    """Send each run's pending entries. 0 if nothing is left, 1 if something is, 2 for a wrong folder or address."""
    parser = argparse.ArgumentParser(prog="python -m tasks.tracking.upload", description=__doc__)
    parser.add_argument("run_folder", nargs="+", type=Path, help="WORKDIR/runs/<run-id>")
    parser.add_argument("--tracking-uri", help="another MLflow server than the one that the run was started with")
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    left = False
    options = parser.parse_args(arguments)
    try:
        TrackingConfig(uri=options.tracking_uri or "")
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    for folder in options.run_folder:
        if not is_tracked(folder):
            print(f"{folder} holds no tracked run: give a folder WORKDIR/runs/<run-id>", file=sys.stderr)
            return 2
        run = TrackedRun(folder.resolve())  # the working directory is found from its path
        if options.tracking_uri:
            run.track_at(options.tracking_uri)
        count = len(run.journal.pending())
        try:
            done = run.flush()
        except UserError as error:
            print(error, file=sys.stderr)
            return 2
        left |= not done
        kept = len(run.journal.pending())
        print(f"{folder}: {count - kept} sent to {run.shown_uri}, {kept} left")
    return int(left)


if __name__ == "__main__":
    sys.exit(main())
