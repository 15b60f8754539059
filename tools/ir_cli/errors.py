# SPDX-License-Identifier: Apache-2.0
"""Errors that the user can mend."""


class UserError(Exception):
    """What is wrong, where, and what to do: shown as it is, without a traceback."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status
