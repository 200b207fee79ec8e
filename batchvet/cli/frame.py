"""The command line's frame: signals, and an exit code with one line for whatever goes wrong."""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from typing import cast

import typer

from batchvet.cli.commands import app
from batchvet.cli.console import EXIT_INTERNAL, EXIT_INTERRUPTED, EXIT_USAGE
from batchvet.cli.streams import results_alone
from batchvet.errors import BatchvetError, CacheError

_INTERRUPTED = "interrupted; what is done is kept, the same command goes on"

#: What a file system says when it is the place that is wrong, not the program.
_PLACE_REFUSES = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.EEXIST,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ENAMETOOLONG,
)

#: click's UsageError, wherever typer keeps it: all that is used of it is what BadParameter has too
_UsageError = cast(type[typer.BadParameter], typer.BadParameter.__base__)


def main() -> None:
    """Run the command line; whatever users do wrong ends in one line and an exit code."""
    results_alone()
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as for a job in the background
            signal.signal(number, _interrupt)
    try:
        code = app(standalone_mode=False)
    except _UsageError as error:
        error.show()
        code = EXIT_USAGE
    except (typer.Abort, KeyboardInterrupt):
        code = EXIT_INTERRUPTED
    except BatchvetError as error:
        print(f"error: {error}", file=sys.stderr)
        code = EXIT_INTERNAL if isinstance(error, CacheError) else EXIT_USAGE
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:
        if error.errno not in _PLACE_REFUSES:
            code = _internal_error(error)
        else:
            place = f"{error.filename}: " if error.filename else ""
            print(f"error: {place}{error.strerror}; mend it, or choose another place", file=sys.stderr)
            code = EXIT_USAGE
    except Exception as error:
        code = _internal_error(error)
    if code == EXIT_INTERRUPTED:  # typer may have turned the interrupt into its exit code already
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # one more now would change the exit code
        print(_INTERRUPTED, file=sys.stderr)
        # All is closed. An interrupt that the interpreter still remembers would end it by the signal, not by 130.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(EXIT_INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _internal_error(error: Exception) -> int:
    print(f"internal error: {type(error).__name__}: {error}", file=sys.stderr)
    if os.environ.get("BATCHVET_TRACEBACK") or {"-v", "--verbose"} & set(sys.argv):
        traceback.print_exception(error)
    else:
        print("please report it; --verbose, or BATCHVET_TRACEBACK=1, shows where", file=sys.stderr)
    return EXIT_INTERNAL


def _interrupt(number: int, frame: object) -> None:
    """The first interrupt closes what is open and keeps the rows that are done; the second leaves at once."""
    for again in (signal.SIGINT, signal.SIGTERM):
        signal.signal(again, _leave)
    raise KeyboardInterrupt


def _leave(number: int, frame: object) -> None:
    show_cursor = b"\x1b[?25h" if os.isatty(2) else b""
    os.write(2, show_cursor + _INTERRUPTED.encode() + b"\n")
    os._exit(EXIT_INTERRUPTED)  # workers see that this process is gone, and end
