"""One finding: something that was looked at, and the mend where it is not well."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_MARKS = {'ok': 'ok', 'warn': 'WARN', 'error': 'ERROR'}


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


def shape_of(line: str) -> str:
    """A line without its numbers, which jitter; those within a name, as of a topic, stay."""
    return re.sub(r'(?<!\w)(?<![A-Za-z_]/)\d+(\.\d+)?', '#', line)


def findings_table(findings: Sequence[Finding]) -> str:
    """Findings in columns; the mend stands below what it mends."""
    width = max(len(f.subject) for f in findings)
    lines = []
    for finding in findings:
        lines.append(f'{_MARKS[finding.level]:<5}  {finding.subject:<{width}}  {finding.text}')
        if finding.mend and finding.level != 'ok':
            lines.append(f'{"":<5}  {"":<{width}}  -> {finding.mend}')
    wrong = sum(f.level == 'error' for f in findings)
    warnings = sum(f.level == 'warn' for f in findings)
    return '\n'.join([*lines, f'{wrong} wrong, {warnings} to look at'])
