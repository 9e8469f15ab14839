"""Reduces pictures to a palette, which takes a third of the space: `python tests/support/shrink.py FILE.png...`."""

import sys
from pathlib import Path

from PIL import Image  # type: ignore[import-not-found]  # is in an environment of its own: see `make pictures`

for path in map(Path, sys.argv[1:]):
    picture = Image.open(path).convert("RGB")
    # The default method would replace rare colours, such as that of a warning, by others.
    few = picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
