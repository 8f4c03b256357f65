"""Runs one command and keeps how it ended, whatever becomes of who wanted it: `python supervise.py RESULT
HANDLE COMMAND`. Nothing is kept of one that was stopped on the way: it is to be run again.

A program of its own, with nothing of art. The handle is of a file that is locked. The command has it, too:
the lock is there as long as this process or any that the command began is.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

_OF_TERMINALS = (signal.SIGINT, getattr(signal, "SIGQUIT", signal.SIGINT))


def main(result: str, handle: str, command: str) -> int:
    came: set[int] = set()
    process: subprocess.Popen[bytes] | None = None

    def note(number: int, frame: FrameType | None) -> None:
        came.add(number)
        if process and number == signal.SIGTERM:
            process.terminate()

    for number in (signal.SIGTERM, *_OF_TERMINALS):  # the command has the latter from there, too
        signal.signal(number, note)
    if sys.platform == "win32":
        process = subprocess.Popen(command, shell=True)
    else:
        process = subprocess.Popen(["/bin/sh", "-c", command], pass_fds=[int(handle)])
    if signal.SIGTERM in came:  # before there was a process
        process.terminate()
    code = process.wait()
    code = 128 - code if code < 0 else code
    if came and code in {128 + number for number in came}:
        return code
    new = Path(f"{result}.new")
    with new.open("w") as file:
        file.write(str(code))
        file.flush()
        os.fsync(file.fileno())
    new.replace(result)
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
