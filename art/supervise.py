"""Runs one command and keeps how it ended, whatever becomes of who wanted it: `python supervise.py RESULT
HANDLE COMMAND`.

A program of its own, with nothing of art. The handle is of a file that is locked: as long as this
process is there, so is the lock, and the command does not have it.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

_OF_TERMINALS = (signal.SIGINT, getattr(signal, "SIGQUIT", signal.SIGINT))


def main(result: str, handle: str, command: str) -> int:
    if sys.platform == "win32":
        process = subprocess.Popen(command, shell=True)
    else:
        os.set_inheritable(int(handle), False)
        for number in _OF_TERMINALS:  # the command has them from the terminal, too
            signal.signal(number, signal.SIG_IGN)
        words = ["/bin/sh", "-c", command]
        process = subprocess.Popen(words, preexec_fn=_heed)
    signal.signal(signal.SIGTERM, lambda number, frame: process.terminate())
    code = process.wait()
    code = 128 - code if code < 0 else code
    new = Path(f"{result}.new")
    with new.open("w") as file:
        file.write(str(code))
        file.flush()
        os.fsync(file.fileno())
    new.replace(result)
    return code


def _heed() -> None:
    for number in _OF_TERMINALS:
        signal.signal(number, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
