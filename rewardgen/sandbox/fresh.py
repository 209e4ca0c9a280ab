"""Start fresh Python processes with an empty environment, the given descriptors and an importable torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

# Runs in a fresh process before anything else. The packages are named but their __init__ is not run: that would load
# the whole of rewardgen, the simulator included, into every worker. Our own path entries follow the interpreter's.
PRELUDE = """
import json, os, sys, types
os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
# No worker may see a GPU, and its driver would start threads.
os.environ.update(CUDA_VISIBLE_DEVICES="", HIP_VISIBLE_DEVICES="")
root, paths, descriptors, arguments = json.loads(sys.argv[1])
sys.path += [path for path in paths if path not in sys.path]
for name in ("rewardgen", "rewardgen.program", "rewardgen.sandbox"):
    package = types.ModuleType(name)
    package.__path__ = [os.path.join(root, *name.split(".")[1:])]
    sys.modules[name] = package
if os.name == "nt":
    import msvcrt
    descriptors = [msvcrt.open_osfhandle(handle, os.O_BINARY) for handle in descriptors]
"""


def start(code: str, descriptors: Sequence[int], arguments: Sequence[int], log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Run ``code`` in a fresh interpreter, with ``descriptors`` and ``arguments`` as global lists.

    Its standard error goes to ``log`` until the process redirects it.

    Raises:
        OSError: the process could not be started.
    """
    root = str(Path(__file__).resolve().parent.parent)
    paths = [path for path in sys.path if path and Path(path).is_absolute()]
    options: dict[str, Any]
    environment: dict[str, str] = {}
    given = list(descriptors)
    if sys.platform == "win32":
        import msvcrt

        # in a virtual environment, python.exe runs the real one as a child; a worker must be a single process
        command = [getattr(sys, "_base_executable", sys.executable), "-I", "-S"]
        given = [msvcrt.get_osfhandle(descriptor) for descriptor in descriptors]
        startup = subprocess.STARTUPINFO(lpAttributeList={"handle_list": given})
        no_console = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW  # Ctrl-C is for the parent
        options = {"startupinfo": startup, "creationflags": no_console}
        system = os.environ.get("SYSTEMROOT", r"C:\Windows")  # without it, Python does not start
        environment = {"SYSTEMROOT": system, "PATH": os.path.join(system, "System32")}  # torch assumes a PATH
        for handle in given:
            os.set_handle_inheritable(handle, True)  # handle_list only permits inheritance
    else:
        command = [sys.executable, "-I"]
        options = {"pass_fds": given, "start_new_session": True}  # Ctrl-C is for the parent
    command += ["-c", PRELUDE + code, json.dumps([root, paths, given, list(arguments)])]
    try:
        process: subprocess.Popen[bytes] = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            cwd=os.path.abspath(os.sep),
            **options,
        )
        return process
    finally:
        if sys.platform == "win32":
            for handle in given:
                os.set_handle_inheritable(handle, False)


def said(log: IO[bytes]) -> str:
    """Return the last 2,000 bytes of ``log`` after a colon; empty if nothing was written."""
    log.seek(0)
    text = log.read()[-2000:].decode("utf-8", "replace").strip()
    return f": {text}" if text else ""
