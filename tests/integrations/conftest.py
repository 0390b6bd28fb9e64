from __future__ import annotations

from user_project import project, said, write

__all__ = ["project", "said", "write"]
