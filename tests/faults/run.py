"""Runs the fault tests and prints a line a fault, ``name value limit ok|short``.

The value is how many of its cases held, the limit how many there are. Skipped cases are said and
do not count. Ends with 1 where one falls short.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import pytest


class Lines:
    """Counts outcomes by fault: the file and the name of the test without its parameters."""

    def __init__(self) -> None:
        self.cases, self.held, self.skipped = Counter[str](), Counter[str](), Counter[str]()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count one phase of one case; a case counts once, when it ran or failed to start."""
        path, _, name = report.nodeid.partition("::")
        fault = f"{Path(path).stem.removeprefix('test_')}.{name.partition('[')[0]}"
        if report.skipped:
            self.skipped[fault] += 1
        elif report.when == "call" or report.failed:
            self.cases[fault] += 1
            self.held[fault] += report.passed

    def show(self) -> bool:
        """Print the lines; return whether a fault falls short."""
        for fault in sorted(self.cases | self.skipped):
            if fault not in self.cases:
                print(f"# {fault} skipped")
                continue
            short = self.held[fault] < self.cases[fault]
            word = "short" if short else "ok"
            print(f"{fault} {self.held[fault]} >={self.cases[fault]} {word}")
        return self.held.total() < self.cases.total()


if __name__ == "__main__":
    lines = Lines()
    os.environ["BACTRIAN_ALL_FAULTS"] = "1"
    here = Path(__file__).parent
    places = [here, here.parent / "providers" / "batches" / "test_kills.py"]
    code = pytest.main(["-q", "--no-header", *map(str, places)], plugins=[lines])
    sys.exit(1 if lines.show() or code not in (0, pytest.ExitCode.NO_TESTS_COLLECTED) else 0)
