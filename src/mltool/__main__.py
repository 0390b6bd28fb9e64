"""Where the command starts: Ctrl-C is one line even while everything is still being imported."""

from __future__ import annotations

import sys


def main() -> None:
    try:
        from mltool.cli.app import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
