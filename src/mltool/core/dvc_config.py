"""The remotes in DVC's config, read as text: DVC itself takes seconds to import."""

from __future__ import annotations

import configparser

_BUCKETS = ("gs", "s3", "azure")


def remotes_of(text: str) -> dict[str, str]:
    """Addresses by name, the default one first, without what stands before an `@`, which may be a password.

    Raises:
        configparser.Error: It is no such file.
    """
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read_string(text)
    found = {}
    for section in parser.sections():
        name = section.strip("'").removeprefix('remote "').removesuffix('"')
        url = parser.get(section, "url", fallback="")
        if section.strip("'").startswith("remote") and url:
            found[name] = without_password(url)
    default = parser.get("core", "remote", fallback="")
    return {**({default: found[default]} if default in found else {}), **found}


def without_password(url: str) -> str:
    """An address without what stands before an `@`; a bucket has no users, but may have an `@` in its paths."""
    head, _, rest = url.partition("://")
    return f"{head}://{rest.rpartition('@')[2]}" if rest and head not in _BUCKETS else url
