"""Run the command that follows and print its exit code, seconds, processor time, peak memory and output as JSON.

It is run by its path, as a process of its own, and imports nothing large: on Linux the peak memory that the operating
system reports for a process is at least that of the process that started it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time


def main() -> None:
    """Run all arguments as a command; its standard error passes through."""
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        process = subprocess.Popen(sys.argv[1:], stdout=output)
        peak = cpu = None
        if hasattr(os, "wait4"):
            _, status, usage = os.wait4(process.pid, 0)
            code = os.waitstatus_to_exitcode(status)
            # in kilobytes; on macOS in bytes
            cpu = usage.ru_utime + usage.ru_stime
            peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        else:  # Windows
            code = process.wait()
        process.returncode = code
        seconds = time.perf_counter() - start
        output.seek(0)
        text = output.read().decode(errors="replace")
    print(json.dumps({"code": code, "seconds": seconds, "cpu_seconds": cpu, "peak_bytes": peak, "output": text}))


if __name__ == "__main__":
    main()
