"""Judging: what was found, beside what it must beat; figures, statistics, audits."""
