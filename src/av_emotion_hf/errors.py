"""The one exception for a user's mistake."""


class InputError(ValueError):
    """Input that cannot be used. The message is one line: the value, the rule it breaks and the remedy.

    The command line prints the message without a traceback and exits with status 2.
    """


__all__ = ["InputError"]
