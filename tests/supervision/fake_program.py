"""Writes what it finds of itself to the file in its first argument."""

import json
import os
import sys
from pathlib import Path

if __name__ == "__main__":
    status = Path("/proc/self/status").read_text().splitlines()
    found = {
        "name": __name__,
        "spec": __spec__.name,
        "arguments": len(sys.argv),
        "flags": list(sys.flags),
        "main": sys.modules["__main__"].__dict__ is globals(),
        # not SigQ: what is queued counts for all processes of the user
        "signals": [line for line in status if line.startswith(("SigPnd", "SigBlk", "SigIgn", "SigCgt"))],
        "umask": os.umask(0o077),
    }
    with open(sys.argv[1], "w") as file:
        json.dump(found, file)
