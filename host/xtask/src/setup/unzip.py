"""Takes one member out of a wheel: `python3 -c ... WHEEL MEMBER FILE`."""

import shutil
import sys
import zipfile

_, wheel, member, out = sys.argv
with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, open(out, "wb") as sink:
    shutil.copyfileobj(source, sink, 1 << 20)
