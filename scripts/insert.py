"""Put what comes in on standard input between the marks `<!-- NAME -->` and `<!-- /NAME -->` of a file, as a console example."""

from __future__ import annotations

import re
import sys
from pathlib import Path


def main(file: Path, name: str) -> None:
    text = file.read_text()
    block = f"<!-- {name} -->\n```console\n{sys.stdin.read().rstrip()}\n```\n<!-- /{name} -->"
    changed, count = re.subn(rf"<!-- {name} -->.*?<!-- /{name} -->", lambda _: block, text, flags=re.DOTALL)
    if count != 1:
        sys.exit(f"{file} has no marks <!-- {name} --> and <!-- /{name} -->")
    file.write_text(changed)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
