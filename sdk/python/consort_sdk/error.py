"""How a plugin says that something went wrong."""


class PluginError(Exception):
    """Why `__init__` or one example failed; raise one of the two kinds below."""

    def within(self, prefix: str) -> "PluginError":
        """The same error with `prefix` and a colon before its text."""
        return type(self)(f"{prefix}: {self}")


class InvalidInput(PluginError):
    """The example is not acceptable: the caller's fault. Say what was expected."""


class Failed(PluginError):
    """The plugin could not do its work: the plugin's fault."""


class TensorError(Failed):
    """A tensor operation that was refused. The text says what did not fit."""
