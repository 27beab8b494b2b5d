"""Warnings of the core in the log of the node, where an operator looks."""

from __future__ import annotations

import logging
from typing import Any


class ToRos(logging.Handler):
    """Passes on what the core logs as a warning or worse.

    Args:
        logger: of the node.
    """

    def __init__(self, logger: Any) -> None:
        super().__init__(logging.WARNING)
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Hand one record to the node's logger."""
        text = record.getMessage()
        # On two lines: rclpy takes one severity for each line of code, and raises otherwise.
        if record.levelno >= logging.ERROR:
            self._logger.error(text)
        else:
            self._logger.warning(text)
