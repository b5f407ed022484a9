"""``python -m bactrian``."""

from bactrian.cli import main

main()
