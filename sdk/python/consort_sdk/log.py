"""Lines for the operator's log; standard error in plain CPython."""

import sys

from consort_sdk._backend import host


def trace(message: str) -> None:
    """Every step."""
    _write("TRACE", message)


def debug(message: str) -> None:
    """For whoever looks for a defect."""
    _write("DEBUG", message)


def info(message: str) -> None:
    """Worth knowing."""
    _write("INFO", message)


def warn(message: str) -> None:
    """Something is not as it should be; work goes on."""
    _write("WARN", message)


def error(message: str) -> None:
    """Something failed."""
    _write("ERROR", message)


def _write(level: str, message: str) -> None:
    if host is None:
        print(f"{level}: {message}", file=sys.stderr)
    else:
        host.write_log(level, message)
