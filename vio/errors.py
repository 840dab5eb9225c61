"""The errors a user can meet. The command line prints their text on one line and exits with their code."""


class TinyvioError(Exception):
    """Base of every error that tinyvio raises on purpose; `exit_code` is the process's exit status."""

    exit_code = 1


class ConfigError(TinyvioError):
    """A profile, an override or a precision entry cannot be used. The text names the field, the value and the remedy."""

    exit_code = 2


class DataError(TinyvioError):
    """A recording cannot be read. The text names the file, the line where there is one, and the remedy."""

    exit_code = 3


class CalibrationError(DataError):
    """A calibration is missing, malformed or impossible."""
