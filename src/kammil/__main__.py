"""`python -m kammil`."""

from kammil.cli import main

main()
