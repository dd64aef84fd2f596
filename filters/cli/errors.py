# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes wrong for a person at the command line."""


class CommandError(Exception):
    """A command can't go on. The message is for the user: what happened, and what to do next."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code
