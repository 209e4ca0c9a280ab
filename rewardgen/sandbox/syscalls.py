"""Tabulate the system calls that a worker may make, for the two supported architectures.

Calls that are not listed return ENOSYS, as on a kernel that is too old for them, so that libraries fall back. Listed
calls are one of

    ALLOWED    needed by a running torch thread, or harmless: memory, time, locks, its own signals, its end
    CHECKED    allowed for some arguments only (``checked``)
    REFUSED    returns an error that Python turns into an exception: a library or an honest program may try it
    KILLED     ends the process: no library tries it once everything is loaded, only an attack does

A rehearsed worker that calls every function a reward may use needs only read, write, mmap, munmap,
mprotect, brk, futex, close, ioctl (isatty, answered with ENOTTY) and exit_group; the rest of ALLOWED is what other
processors, C libraries and allocators ask for. Executable mappings stay possible: torch's libraries generate code, and
whatever runs meets the same filter.

The numbers are those of the kernel's headers (``asm/unistd_64.h`` and ``asm-generic/unistd.h``); a test compares them
where headers are installed. Bindings of libseccomp know them too, but none bundles the library.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _numbers(text: str) -> dict[str, int]:
    return {name: int(number) for name, number in (pair.split("=") for pair in text.split())}


@dataclass(frozen=True)
class Is:
    """Require that argument 0 to 5 equals ``value`` on the bits of ``mask``: the lower 32, or all 64 if ``wide``."""

    argument: int
    value: int
    mask: int = 0xFFFFFFFF
    wide: bool = False


@dataclass(frozen=True)
class Check:
    """Allow a call if one of the alternatives holds, each a conjunction; otherwise return ``error``.

    An ``error`` of None kills the process.
    """

    name: str
    alternatives: tuple[tuple[Is, ...], ...]
    error: int | None


ALLOWED = _words(
    """
    close munmap mremap mprotect brk futex getrandom lseek fstat clock_gettime clock_getres clock_nanosleep
    nanosleep gettimeofday time times getrusage sysinfo getcpu sched_yield sched_getaffinity getpid gettid
    getppid getuid geteuid getgid getegid rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack restart_syscall
    exit exit_group mincore
    """
)

# calls that take a path or change what a path leads to
_FILES = _words(
    """
    open openat openat2 creat stat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat getcwd
    getdents getdents64 statfs fstatfs chdir fchdir truncate ftruncate unlink unlinkat rename renameat renameat2
    mkdir mkdirat rmdir link linkat symlink symlinkat mknod mknodat chmod fchmod fchmodat fchmodat2 chown fchown
    lchown fchownat utimensat utime utimes futimesat setxattr lsetxattr fsetxattr removexattr
    """
)

# calls that move data other than by read and write on the own pipes, or create descriptors
_DATA = _words(
    """
    pread64 pwrite64 preadv pwritev preadv2 pwritev2 dup dup2 dup3 pipe pipe2 memfd_create eventfd eventfd2
    epoll_create epoll_create1 poll ppoll select pselect6 splice tee vmsplice sendfile copy_file_range fallocate
    sync syncfs fsync fdatasync
    """
)

# machine name, priority, placement and timers, waiting for children
_PLACE = _words(
    """
    uname setpriority sched_setaffinity sched_setscheduler sched_setparam sched_setattr ioprio_set setrlimit getrlimit
    setsid setpgid set_mempolicy mbind get_mempolicy mlock mlock2 mlockall arch_prctl wait4 waitid setitimer
    alarm timer_create
    """
)

REFUSED: dict[str, int] = {
    "ioctl": errno.ENOTTY,  # isatty
    "clone3": errno.ENOSYS,  # its flags lie in memory that a filter cannot read; the C library falls back to clone
    **dict.fromkeys(_FILES, errno.EACCES),
    **dict.fromkeys(_DATA, errno.EPERM),
    **dict.fromkeys(_PLACE, errno.EPERM),
}

# processes, programs, sockets, other processes' memory, the kernel's side doors, identities, shared memory by key
KILLED = _words(
    """
    fork vfork execve execveat socket socketpair connect bind listen accept accept4 sendto sendmsg sendmmsg
    recvfrom recvmsg recvmmsg setsockopt ptrace process_vm_readv process_vm_writev process_madvise
    process_mrelease kcmp pidfd_open pidfd_getfd pidfd_send_signal rt_sigqueueinfo rt_tgsigqueueinfo unshare
    setns mount umount2 pivot_root chroot move_mount open_tree fsopen fsmount fsconfig fspick mount_setattr
    swapon swapoff quotactl quotactl_fd io_uring_setup io_uring_enter io_uring_register io_setup io_submit bpf
    perf_event_open userfaultfd memfd_secret keyctl add_key request_key init_module finit_module delete_module
    kexec_load kexec_file_load reboot iopl ioperm modify_ldt personality seccomp landlock_create_ruleset
    landlock_add_rule landlock_restrict_self setuid setgid setreuid setregid setresuid setresgid setgroups
    setfsuid setfsgid capset shmget shmat shmctl msgget msgsnd msgrcv semget semop mq_open name_to_handle_at
    open_by_handle_at fanotify_init inotify_init inotify_init1 migrate_pages move_pages remap_file_pages
    sethostname setdomainname settimeofday clock_settime clock_adjtime adjtimex syslog acct lookup_dcookie
    uselib vhangup timerfd_create signalfd signalfd4
    """
)

_CLONE_THREAD = 0x10000
_MAP_LOCKED, _MAP_HUGETLB, _MAP_GROWSDOWN = 0x2000, 0x40000, 0x100
# normal, willneed, dontneed, free, hugepage, nohugepage, dontdump: what allocators ask for
_ADVICE = (0, 3, 4, 8, 14, 15, 16)
_F_GETFD, _F_GETFL = 1, 3
# PR_GET_DUMPABLE, PR_SET_NAME, PR_GET_NAME, PR_GET_SECCOMP, PR_GET_NO_NEW_PRIVS, PR_SET_VMA (names of mappings)
_PRCTL = (3, 15, 16, 21, 39, 0x53564D41)


def checked(pid: int, readable: tuple[int, ...], writable: tuple[int, ...]) -> tuple[Check, ...]:
    """List the calls whose arguments are checked, for process ``pid`` and the descriptors that it may use."""

    def one_of(argument: int, values: tuple[int, ...]) -> tuple[tuple[Is, ...], ...]:
        return tuple((Is(argument, value),) for value in values)

    return (
        # its own pipes and standard streams only
        Check("read", one_of(0, readable), errno.EPERM),
        Check("readv", one_of(0, readable), errno.EPERM),
        Check("write", one_of(0, writable), errno.EPERM),
        Check("writev", one_of(0, writable), errno.EPERM),
        # no memory that cannot be given back, and none from the pool that all processes share
        Check("mmap", ((Is(3, 0, _MAP_LOCKED | _MAP_HUGETLB | _MAP_GROWSDOWN),),), errno.EPERM),
        Check("madvise", one_of(2, _ADVICE), errno.EINVAL),
        Check("fcntl", one_of(1, (_F_GETFD, _F_GETFL)), errno.EPERM),
        Check("prctl", one_of(0, _PRCTL), errno.EPERM),
        # reading its own limits, not setting them (the new limits must be a null pointer)
        Check("prlimit64", tuple((Is(0, who), Is(2, 0, 2**64 - 1, wide=True)) for who in (0, pid)), errno.EPERM),
        # signals to itself only
        Check("kill", one_of(0, (pid,)), errno.EPERM),
        Check("tgkill", one_of(0, (pid,)), errno.EPERM),
        Check("tkill", one_of(0, (pid,)), errno.EPERM),
    )


# clone is inverted: creating a process kills, creating a thread is refused, as by the limit on processes (rewards get
# a single thread, and a Landlock ruleset covers only threads that its own thread has started)
PROCESS = Check("clone", ((Is(0, 0, _CLONE_THREAD),),), errno.EAGAIN)

NUMBERS: dict[str, dict[str, int]] = {
    "x86_64": _numbers(
        """
    read=0 write=1 open=2 close=3 stat=4 fstat=5 lstat=6 poll=7 lseek=8 mmap=9 mprotect=10 munmap=11 brk=12
    rt_sigaction=13 rt_sigprocmask=14 rt_sigreturn=15 ioctl=16 pread64=17 pwrite64=18 readv=19 writev=20
    access=21 pipe=22 select=23 sched_yield=24 mremap=25 mincore=27 madvise=28 shmget=29 shmat=30 shmctl=31
    dup=32 dup2=33 nanosleep=35 alarm=37 setitimer=38 getpid=39 sendfile=40 socket=41 connect=42 accept=43
    sendto=44 recvfrom=45 sendmsg=46 recvmsg=47 bind=49 listen=50 socketpair=53 setsockopt=54 clone=56 fork=57
    vfork=58 execve=59 exit=60 wait4=61 kill=62 uname=63 semget=64 semop=65 msgget=68 msgsnd=69 msgrcv=70
    fcntl=72 fsync=74 fdatasync=75 truncate=76 ftruncate=77 getdents=78 getcwd=79 chdir=80 fchdir=81 rename=82
    mkdir=83 rmdir=84 creat=85 link=86 unlink=87 symlink=88 readlink=89 chmod=90 fchmod=91 chown=92 fchown=93
    lchown=94 gettimeofday=96 getrlimit=97 getrusage=98 sysinfo=99 times=100 ptrace=101 getuid=102 syslog=103
    getgid=104 setuid=105 setgid=106 geteuid=107 getegid=108 setpgid=109 getppid=110 setsid=112 setreuid=113
    setregid=114 setgroups=116 setresuid=117 setresgid=119 setfsuid=122 setfsgid=123 capset=126
    rt_sigqueueinfo=129 sigaltstack=131 utime=132 mknod=133 uselib=134 personality=135 statfs=137 fstatfs=138
    setpriority=141 sched_setparam=142 sched_setscheduler=144 mlock=149 mlockall=151 vhangup=153 modify_ldt=154
    pivot_root=155 prctl=157 arch_prctl=158 adjtimex=159 setrlimit=160 chroot=161 sync=162 acct=163
    settimeofday=164 mount=165 umount2=166 swapon=167 swapoff=168 reboot=169 sethostname=170 setdomainname=171
    iopl=172 ioperm=173 init_module=175 delete_module=176 quotactl=179 gettid=186 setxattr=188 lsetxattr=189
    fsetxattr=190 removexattr=197 tkill=200 time=201 futex=202 sched_setaffinity=203 sched_getaffinity=204
    io_setup=206 io_submit=209 lookup_dcookie=212 epoll_create=213 remap_file_pages=216 getdents64=217
    restart_syscall=219 timer_create=222 clock_settime=227 clock_gettime=228 clock_getres=229
    clock_nanosleep=230 exit_group=231 tgkill=234 utimes=235 mbind=237 set_mempolicy=238 get_mempolicy=239
    mq_open=240 kexec_load=246 waitid=247 add_key=248 request_key=249 keyctl=250 ioprio_set=251 inotify_init=253
    migrate_pages=256 openat=257 mkdirat=258 mknodat=259 fchownat=260 futimesat=261 newfstatat=262 unlinkat=263
    renameat=264 linkat=265 symlinkat=266 readlinkat=267 fchmodat=268 faccessat=269 pselect6=270 ppoll=271
    unshare=272 splice=275 tee=276 vmsplice=278 move_pages=279 utimensat=280 signalfd=282 timerfd_create=283
    eventfd=284 fallocate=285 accept4=288 signalfd4=289 eventfd2=290 epoll_create1=291 dup3=292 pipe2=293
    inotify_init1=294 preadv=295 pwritev=296 rt_tgsigqueueinfo=297 perf_event_open=298 recvmmsg=299
    fanotify_init=300 prlimit64=302 name_to_handle_at=303 open_by_handle_at=304 clock_adjtime=305 syncfs=306
    sendmmsg=307 setns=308 getcpu=309 process_vm_readv=310 process_vm_writev=311 kcmp=312 finit_module=313
    sched_setattr=314 renameat2=316 seccomp=317 getrandom=318 memfd_create=319 kexec_file_load=320 bpf=321
    execveat=322 userfaultfd=323 mlock2=325 copy_file_range=326 preadv2=327 pwritev2=328 statx=332
    pidfd_send_signal=424 io_uring_setup=425 io_uring_enter=426 io_uring_register=427 open_tree=428
    move_mount=429 fsopen=430 fsconfig=431 fsmount=432 fspick=433 pidfd_open=434 clone3=435 openat2=437
    pidfd_getfd=438 faccessat2=439 process_madvise=440 mount_setattr=442 quotactl_fd=443
    landlock_create_ruleset=444 landlock_add_rule=445 landlock_restrict_self=446 memfd_secret=447
    process_mrelease=448 fchmodat2=452
        """
    ),
    "aarch64": _numbers(
        """
    io_setup=0 io_submit=2 setxattr=5 lsetxattr=6 fsetxattr=7 removexattr=14 getcwd=17 lookup_dcookie=18
    eventfd2=19 epoll_create1=20 dup=23 dup3=24 fcntl=25 inotify_init1=26 ioctl=29 ioprio_set=30 mknodat=33
    mkdirat=34 unlinkat=35 symlinkat=36 linkat=37 renameat=38 umount2=39 mount=40 pivot_root=41 statfs=43
    fstatfs=44 truncate=45 ftruncate=46 fallocate=47 faccessat=48 chdir=49 fchdir=50 chroot=51 fchmod=52
    fchmodat=53 fchownat=54 fchown=55 openat=56 close=57 vhangup=58 pipe2=59 quotactl=60 getdents64=61 lseek=62
    read=63 write=64 readv=65 writev=66 pread64=67 pwrite64=68 preadv=69 pwritev=70 sendfile=71 pselect6=72
    ppoll=73 signalfd4=74 vmsplice=75 splice=76 tee=77 readlinkat=78 newfstatat=79 fstat=80 sync=81 fsync=82
    fdatasync=83 timerfd_create=85 utimensat=88 acct=89 capset=91 personality=92 exit=93 exit_group=94 waitid=95
    unshare=97 futex=98 nanosleep=101 setitimer=103 kexec_load=104 init_module=105 delete_module=106
    timer_create=107 clock_settime=112 clock_gettime=113 clock_getres=114 clock_nanosleep=115 syslog=116
    ptrace=117 sched_setparam=118 sched_setscheduler=119 sched_setaffinity=122 sched_getaffinity=123
    sched_yield=124 restart_syscall=128 kill=129 tkill=130 tgkill=131 sigaltstack=132 rt_sigaction=134
    rt_sigprocmask=135 rt_sigqueueinfo=138 rt_sigreturn=139 setpriority=140 reboot=142 setregid=143 setgid=144
    setreuid=145 setuid=146 setresuid=147 setresgid=149 setfsuid=151 setfsgid=152 times=153 setpgid=154
    setsid=157 setgroups=159 uname=160 sethostname=161 setdomainname=162 getrlimit=163 setrlimit=164
    getrusage=165 prctl=167 getcpu=168 gettimeofday=169 settimeofday=170 adjtimex=171 getpid=172 getppid=173
    getuid=174 geteuid=175 getgid=176 getegid=177 gettid=178 sysinfo=179 mq_open=180 msgget=186 msgrcv=188
    msgsnd=189 semget=190 semop=193 shmget=194 shmctl=195 shmat=196 socket=198 socketpair=199 bind=200
    listen=201 accept=202 connect=203 sendto=206 recvfrom=207 setsockopt=208 sendmsg=211 recvmsg=212 brk=214
    munmap=215 mremap=216 add_key=217 request_key=218 keyctl=219 clone=220 execve=221 mmap=222 swapon=224
    swapoff=225 mprotect=226 mlock=228 mlockall=230 mincore=232 madvise=233 remap_file_pages=234 mbind=235
    get_mempolicy=236 set_mempolicy=237 migrate_pages=238 move_pages=239 rt_tgsigqueueinfo=240
    perf_event_open=241 accept4=242 recvmmsg=243 wait4=260 prlimit64=261 fanotify_init=262 clock_adjtime=266
    syncfs=267 setns=268 sendmmsg=269 process_vm_readv=270 process_vm_writev=271 kcmp=272 finit_module=273
    sched_setattr=274 renameat2=276 seccomp=277 getrandom=278 memfd_create=279 bpf=280 execveat=281
    userfaultfd=282 mlock2=284 copy_file_range=285 preadv2=286 pwritev2=287 statx=291 kexec_file_load=294
    pidfd_send_signal=424 io_uring_setup=425 io_uring_enter=426 io_uring_register=427 open_tree=428
    move_mount=429 fsopen=430 fsconfig=431 fsmount=432 fspick=433 pidfd_open=434 clone3=435 openat2=437
    pidfd_getfd=438 faccessat2=439 process_madvise=440 mount_setattr=442 quotactl_fd=443
    landlock_create_ruleset=444 landlock_add_rule=445 landlock_restrict_self=446 memfd_secret=447
    process_mrelease=448 fchmodat2=452
        """
    ),
}

# as the kernel names them to a filter (linux/audit.h)
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
