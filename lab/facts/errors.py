"""What can be wrong with an input or a machine, each said in one line for the reader."""


class Unreadable(Exception):
    """An input that is not what it should be."""


class CannotRun(Exception):
    """Nothing could be measured: what, where and what to do."""


class Interrupted(KeyboardInterrupt):
    """The user ended it, and there is nothing to show for it."""
