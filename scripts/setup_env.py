"""Set up everything that warmtile needs: environment, torch, aihwkit built against it, extension.

Run by ``make setup`` with the system's Python; needs the standard library only. The work is done
in the package ``setup`` beside this file. This file parses on every Python 3, so that one which is
too old gets a sentence and not a syntax error.
"""

import sys

OLDEST, NEWEST = (3, 10), (3, 13)


def python_complaint(version):
    """Return the line that refuses ``version``, a (major, minor) pair; None if it will do."""
    if OLDEST <= tuple(version) <= NEWEST:
        return None
    return (
        "Python %d.%d will not do: warmtile needs 3.10 to 3.13; "
        "name another one, for example: make setup PYTHON=python3.12" % tuple(version)
    )


def main():
    """Check what the rest needs to be imported at all, then hand over to it."""
    complaint = python_complaint(sys.version_info[:2])
    if complaint is None and not sys.platform.startswith("linux"):
        complaint = "warmtile builds on Linux only: other systems hide the symbols of aihwkit"
    if complaint is not None:
        sys.stderr.write("set-up: %s\n" % complaint)
        return 2
    from setup.cli import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
