"""Use Windows job objects to end a worker with everything that it started, and to limit its resources.

Each worker has two. The parent's job ends the worker when its handle is closed, which the kernel does if the parent
dies. The worker's own job, entered before it reads the program, limits further memory and CPU time and forbids new
processes; the worker then closes the handle, so that nobody can relax the limits.

Sources: Microsoft's reference of CreateJobObjectW, SetInformationJobObject, JOBOBJECT_EXTENDED_LIMIT_INFORMATION,
PROCESS_MEMORY_COUNTERS. Field sizes are explicit because ctypes' Windows types differ in size on other systems, where
a test checks the layout.
"""

from __future__ import annotations

import ctypes
import sys

_EXTENDED_LIMITS = 9  # a JOBOBJECTINFOCLASS
_PROCESS_TIME, _ACTIVE_PROCESS, _PROCESS_MEMORY, _DIE_ON_EXCEPTION, _KILL_ON_CLOSE = 0x2, 0x8, 0x100, 0x400, 0x2000
_TICKS = 10_000_000  # of 100 ns, in a second


class BasicLimits(ctypes.Structure):
    _fields_ = (
        ("per_process_user_time", ctypes.c_int64),
        ("per_job_user_time", ctypes.c_int64),
        ("flags", ctypes.c_uint32),
        ("minimum_working_set", ctypes.c_size_t),
        ("maximum_working_set", ctypes.c_size_t),
        ("active_processes", ctypes.c_uint32),
        ("affinity", ctypes.c_size_t),
        ("priority", ctypes.c_uint32),
        ("scheduling", ctypes.c_uint32),
    )


class ExtendedLimits(ctypes.Structure):
    _fields_ = (
        ("basic", BasicLimits),
        ("io", ctypes.c_uint64 * 6),
        ("process_memory", ctypes.c_size_t),
        ("job_memory", ctypes.c_size_t),
        ("peak_process_memory", ctypes.c_size_t),
        ("peak_job_memory", ctypes.c_size_t),
    )


class MemoryCounters(ctypes.Structure):
    _fields_ = (
        ("size", ctypes.c_uint32),
        ("page_faults", ctypes.c_uint32),
        ("working_sets", ctypes.c_size_t * 2),
        ("pools", ctypes.c_size_t * 4),
        ("committed", ctypes.c_size_t),
        ("peak_committed", ctypes.c_size_t),
    )


def bounds(memory: int, cpu_seconds: int) -> ExtendedLimits:
    """Build limits of ``memory`` bytes in total, ``cpu_seconds`` of CPU time and a single process."""
    limits = ExtendedLimits()
    limits.basic.flags = _PROCESS_TIME | _ACTIVE_PROCESS | _PROCESS_MEMORY | _DIE_ON_EXCEPTION
    limits.basic.per_process_user_time = cpu_seconds * _TICKS
    limits.basic.active_processes = 1
    limits.process_memory = memory
    return limits


if sys.platform == "win32":
    _kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    _kernel.CreateJobObjectW.restype = ctypes.c_void_p
    _kernel.CreateJobObjectW.argtypes = (ctypes.c_void_p, ctypes.c_wchar_p)
    _kernel.SetInformationJobObject.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint32)
    _kernel.AssignProcessToJobObject.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
    _kernel.TerminateJobObject.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
    _kernel.CloseHandle.argtypes = (ctypes.c_void_p,)
    _kernel.GetCurrentProcess.restype = ctypes.c_void_p
    _kernel.K32GetProcessMemoryInfo.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32)

    class JobObject:
        """End the process of the handle ``process`` and its children at ``end``, or when this process dies.

        Raises:
            OSError: Windows refused to create or assign the job.
        """

        def __init__(self, process: int) -> None:
            limits = ExtendedLimits()
            limits.basic.flags = _KILL_ON_CLOSE
            self._handle: int | None = _job(process, limits)

        def end(self) -> None:
            if self._handle is not None:
                _kernel.TerminateJobObject(self._handle, 1)
                _kernel.CloseHandle(self._handle)
                self._handle = None

    def limit(memory: int, cpu_seconds: int) -> bool:
        """Limit this process irrevocably: ``memory`` further bytes, ``cpu_seconds``; return whether it worked."""
        counters = MemoryCounters(size=ctypes.sizeof(MemoryCounters))
        process = _kernel.GetCurrentProcess()
        if not _kernel.K32GetProcessMemoryInfo(process, ctypes.byref(counters), counters.size):
            return False
        try:
            # Committed memory counts, so add what the process has committed already
            job = _job(process, bounds(counters.committed + memory, cpu_seconds))
        except OSError:
            return False
        _kernel.CloseHandle(job)
        return True

    def _job(process: int, limits: ExtendedLimits) -> int:
        job = _kernel.CreateJobObjectW(None, None)
        if not job:
            raise ctypes.WinError(ctypes.get_last_error())
        if not (
            _kernel.SetInformationJobObject(job, _EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits))
            and _kernel.AssignProcessToJobObject(job, process)
        ):
            # Read the error before CloseHandle overwrites it
            error = ctypes.WinError(ctypes.get_last_error())
            _kernel.CloseHandle(job)
            raise error
        return int(job)
