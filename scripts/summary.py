"""Add up the reports that pytest wrote for each of tox's environments, as pytest itself would put it."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as tree
from pathlib import Path

COUNTS = ("tests", "failures", "errors", "skipped")


def main(folder: Path) -> int:
    total = dict.fromkeys(COUNTS, 0)
    seconds = 0.0
    for report in sorted(folder.glob("*.xml")):
        for suite in tree.parse(report).getroot().iter("testsuite"):
            for name in COUNTS:
                total[name] += int(suite.get(name, 0))
            seconds += float(suite.get("time", 0))
    passed = total["tests"] - total["failures"] - total["errors"] - total["skipped"]
    words = {"failed": total["failures"], "passed": passed, "skipped": total["skipped"], "errors": total["errors"]}
    sys.stdout.write(", ".join(f"{count} {word}" for word, count in words.items() if count or word == "passed") + f" in {seconds:.2f}s\n")
    return 0 if passed and not total["failures"] and not total["errors"] else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
