"""The command line's frame: signals, and an exit code with one line for whatever goes wrong."""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from contextlib import suppress
from typing import cast

import typer

from batchvet.cli.commands import app
from batchvet.cli.console import EXIT_INTERNAL, EXIT_INTERRUPTED, EXIT_USAGE
from batchvet.cli.streams import results_alone
from batchvet.errors import BatchvetError, CacheError

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  #: what they ask for is kept rows and an end
_received: list[int] = []  #: exit codes that they stand for, of the first one first

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
    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as for a job in the background
            signal.signal(number, _interrupt)
    try:
        code = _written_out(_exit_code())
        _ignore_signals()
    except KeyboardInterrupt:  # as the last thing was done
        code = EXIT_INTERRUPTED
        _ignore_signals()
    if code == EXIT_INTERRUPTED or _received:
        with suppress(OSError):  # a terminal that is gone
            print(_INTERRUPTED, file=sys.stderr)
        # All is closed. An interrupt that the interpreter still remembers would end it by the signal, not by 130.
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(_received[0] if _received else EXIT_INTERRUPTED)
    sys.exit(code)


def _exit_code() -> int:
    """Run the command; an exit code for whatever comes of it."""
    try:
        code = app(standalone_mode=False)
    except _UsageError as error:
        error.show()
        return EXIT_USAGE
    except (typer.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except BatchvetError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_INTERNAL if isinstance(error, CacheError) else EXIT_USAGE
    except BrokenPipeError:
        _forget_stdout()
        return 0
    except SystemExit as ended:
        if type(sys.stdout).__name__ != "PacifyFlushWrapper":
            raise
        _forget_stdout()  # typer's word for a reader that has seen enough, such as head
        return 0 if ended.code == 1 else cast(int, ended.code)
    except OSError as error:
        if error.errno not in _PLACE_REFUSES:
            return _internal_error(error)
        place = f"{error.filename}: " if error.filename else ""
        print(f"error: {place}{error.strerror}; mend it, or choose another place", file=sys.stderr)
        return EXIT_USAGE
    except Exception as error:
        return _internal_error(error)
    return code if isinstance(code, int) else 0


def _written_out(code: int) -> int:
    """The exit code, after all of the results have been taken: the interpreter would only say that they were not."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_stdout()
    except OSError as error:
        _forget_stdout()
        print(f"error: results cannot be written: {error.strerror}", file=sys.stderr)
        return code or EXIT_USAGE
    return code


def _forget_stdout() -> None:
    """Nobody takes the results any more: what is left of them goes nowhere."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _internal_error(error: Exception) -> int:
    print(f"internal error: {type(error).__name__}: {error}", file=sys.stderr)
    if os.environ.get("BATCHVET_TRACEBACK") or {"-v", "--verbose"} & set(sys.argv):
        traceback.print_exception(error)
    else:
        print("please report it; --verbose, or BATCHVET_TRACEBACK=1, shows where", file=sys.stderr)
    return EXIT_INTERNAL


def _interrupt(number: int, frame: object) -> None:
    """The first interrupt closes what is open and keeps the rows that are done; the second leaves at once."""
    _received.append(128 + number)
    for again in _ENDING:
        signal.signal(again, _leave)
    raise KeyboardInterrupt


def _leave(number: int, frame: object) -> None:
    show_cursor = b"\x1b[?25h" if os.isatty(2) else b""
    with suppress(OSError):  # a terminal that is gone
        os.write(2, show_cursor + _INTERRUPTED.encode() + b"\n")
    os._exit(_received[0])  # workers see that this process is gone, and end


def _ignore_signals() -> None:
    """All is done: one more now would only change the exit code."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
