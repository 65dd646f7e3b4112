"""Where tensors live: with the host inside a component, in memory elsewhere."""

try:
    from consort_sdk import _host as host
    from consort_sdk._host import Handle, fill, split, stack_padded
except ImportError as _error:
    if _error.name not in ("componentize_py_runtime", "componentize_py_types"):
        raise
    from consort_sdk._memory import Handle, fill, split, stack_padded

    host = None

__all__ = ["Handle", "fill", "host", "split", "stack_padded"]
