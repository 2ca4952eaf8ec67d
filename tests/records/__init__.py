"""Recorded behaviour: what a change that must change nothing is held against.

    python -m tests.records record DIR [readers|suggestions|servers|bits|all]
    python -m tests.records compare DIR [readers|suggestions|servers|bits|all] [--expected FILE]
    python -m tests.records counts

Which sources are recorded is said by PYTHONPATH, so the same generators run over any two versions. They use public
names alone: `kammil.load` and what it opens, `kammil.data`, the command line and the server.
"""
