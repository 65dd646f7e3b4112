"""Read-only files that the manifest gives a plugin by name."""

from __future__ import annotations

from collections.abc import Mapping

from consort_sdk._backend import host
from consort_sdk.error import Failed


class Assets:
    """The assets of a plugin. In a unit test, make them from a dictionary."""

    def __init__(self, pairs: Mapping[str, str | bytes] | None = None):
        """`pairs`: each asset's content by its name."""
        self._pairs = {
            name: content.encode() if isinstance(content, str) else content
            for name, content in (pairs or {}).items()
        }

    def names(self) -> list[str]:
        """The names, in alphabetical order."""
        return sorted(self._pairs)

    def read(self, name: str) -> bytes:
        """The whole content of an asset; the error lists the names there are."""
        try:
            return self._pairs[name]
        except KeyError:
            names = ", ".join(f'"{known}"' for known in self.names())
            known = f"the names are {names}" if names else "there are none"
            raise Failed(f'there is no asset "{name}"; {known}') from None

    def text(self, name: str) -> str:
        """The whole content of an asset that must be UTF-8 text."""
        try:
            return self.read(name).decode()
        except UnicodeDecodeError as error:
            raise Failed(f'asset "{name}" is not UTF-8 text: {error}') from error


class HostAssets(Assets):
    """The assets inside a component."""

    def names(self) -> list[str]:
        return host.asset_names()

    def read(self, name: str) -> bytes:
        return host.read_asset(name)
