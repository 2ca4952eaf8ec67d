"""Recorded behaviour: what a change that must change nothing is held against.

    python -m tests.records record DIR [readers|suggestions|servers|bits|commands|trainings|all]
    python -m tests.records compare DIR [readers|...] [--expected FILE]
    python -m tests.records counts [REPOSITORY]

Which sources are recorded is said by PYTHONPATH, so the same generators run over any two versions. They use public
names alone: `kammil.load` and what it opens, `kammil.data`, the command line and the server.

DIR is outside the repository, and KAMMIL_DATA_DIR names the folder of the real corpora. `compare` prints each
difference with the input that made it, and exits with 1 if there is any that FILE does not allow. FILE is TOML:

    [[allowed]]
    kind = "servers"
    id = "both GET /docs *"       # what `compare` prints first; * is anything
    now = '"status": 404'         # optional: what the new result must hold
    reason = "/openapi.json describes the API"
"""
