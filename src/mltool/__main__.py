from __future__ import annotations

from mltool.cli.app import main

main()
