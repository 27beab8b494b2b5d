"""One finding: something that was looked at, and the mend where it is not well."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One line of a report.

    Attributes:
        level: 'ok', 'warn' (may cost something) or 'error' (something does not work).
        subject: the part that was looked at.
        text: the state of it.
        mend: what to do, a command where there is one; '' where nothing is to be done.
    """

    level: str
    subject: str
    text: str
    mend: str = ''

    @property
    def line(self) -> str:
        """Text and mend in one line, for a log."""
        return f'{self.text}; {self.mend}' if self.mend else self.text


def from_line(level: str, subject: str, line: str) -> Finding:
    """Finding of an error message, whose mend stands behind its last semicolon."""
    text, _, mend = line.rpartition('; ')
    return Finding(level, subject, text or mend, mend if text else '')
