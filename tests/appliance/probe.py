#!/usr/bin/env python3
"""Tries, in the place of the daemon, everything that its unit promises to forbid. One line each; ends with 1 where one worked.

Most of it any plain user is forbidden, too: what `probe.py prepare` makes beforehand, as root and outside of the unit, opens it to everybody,
so that the unit alone is in the way. `probe.py clear` takes that away.
"""
import ctypes
import errno
import mmap
import os
import resource
import shutil
import socket
import stat
import sys

broken = 0
# Folders that everybody may write to, in places that the unit closes.
OPEN = [f"/{folder}/probe-open" for folder in ("etc", "usr", "var", "var/lib", "var/lib/mednerd/models", "srv", "opt", "home")]
MODULES = "/usr/lib/modules/probe-open"
CGROUP = "/sys/fs/cgroup/probe-open"
DEVICE = "/srv/probe-device"
SHARED = 0x6D656E64
MARK = "/tmp/probe-mark"


def forbidden(what, attempt):
    global broken
    try:
        attempt()
    except (OSError, ValueError) as error:
        print(f"forbidden: {what} ({error})")
    else:
        broken += 1
        print(f"ALLOWED: {what}")


def holds(what, truth):
    global broken
    broken += not truth
    print(f"{'holds' if truth else 'BROKEN'}: {what}")


libc = ctypes.CDLL(None, use_errno=True)


def call(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def filtered(number, *arguments):
    """Whether the filter refuses a system call that for itself would be refused by another error, or not at all."""
    try:
        call(number, *arguments)
    except OSError as error:
        return error.errno == errno.EPERM
    return False


def write(path):
    return lambda: open(path, "w").close()


def prepare():
    for folder in OPEN + [MODULES]:
        os.makedirs(folder, exist_ok=True)
        os.chmod(folder, 0o777)
    os.makedirs(CGROUP, exist_ok=True)
    os.chmod(CGROUP, 0o777)
    # /dev/kmsg, which everybody could write to then.
    for device in (DEVICE, "/dev/probe-device"):
        os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 11))
        os.chmod(device, 0o666)
    libc.shmget(SHARED, 4096, 0o1666)
    write(MARK)()


def clear():
    # Where a line was missing, something is in them.
    for folder in OPEN + [MODULES]:
        shutil.rmtree(folder)
    if not os.listdir(os.path.dirname(MODULES)):
        os.rmdir(os.path.dirname(MODULES))
    for folder in (f"{CGROUP}/probe", CGROUP):
        if os.path.exists(folder):
            os.rmdir(folder)
    for path in (DEVICE, "/dev/probe-device", MARK):
        os.unlink(path)
    libc.shmctl(libc.shmget(SHARED, 0, 0), 0, None)


def probe():
    for family in ("AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_VSOCK"):
        forbidden(f"a socket of {family}", lambda: socket.socket(getattr(socket, family), socket.SOCK_RAW if family == "AF_PACKET" else socket.SOCK_STREAM))
    socket.socket(socket.AF_UNIX).close()

    # Abstract sockets are those of the network's namespace.
    def abstract():
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect("\0mednerd-probe")

    forbidden("an abstract socket of the host", abstract)
    for folder in OPEN:
        forbidden(f"writing in {folder}", write(f"{folder}/probe"))
    for path in ("/root/probe", "/etc/mednerd/mednerd.toml", "/usr/bin/mednerd"):
        forbidden(f"writing {path}", write(path))
    forbidden("looking into /home", lambda: os.listdir("/home/probe-open"))
    forbidden("looking at kernel modules", lambda: os.listdir(MODULES))
    forbidden("making a control group", lambda: os.mkdir(f"{CGROUP}/probe"))
    forbidden("opening a device of /dev", lambda: os.close(os.open("/dev/probe-device", os.O_WRONLY)))
    forbidden("opening a device elsewhere", lambda: os.close(os.open(DEVICE, os.O_WRONLY)))
    forbidden("memory that others share", lambda: call(29, SHARED, 0, 0))
    forbidden("reading the key's file", lambda: open("/etc/mednerd/audit.key").close())
    forbidden("running a shell", lambda: os.execv("/bin/sh", ["sh"]))
    forbidden("running another program", lambda: os.execv("/usr/bin/true", ["true"]))
    forbidden("a user namespace", lambda: call(272, 0x10000000))
    forbidden("a mount", lambda: call(165, b"none", b"/mnt", b"tmpfs", 0, None))
    forbidden("tracing a process", lambda: call(101, 16, 1, 0, 0))
    forbidden("a kernel key ring", lambda: call(250, 0, -3, 1, 0, 0))
    forbidden("loading BPF", lambda: call(321, 0, None, 0))
    forbidden("another personality", lambda: call(135, 0x0040000))
    forbidden("memory that can be written and run", lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC))
    forbidden("becoming root", lambda: os.setuid(0))
    forbidden("raising the core limit", lambda: resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20)))
    holds("the kernel makes no core, for a program neither", resource.getrlimit(resource.RLIMIT_CORE) == (1, 1))
    # What user and group would not be asked about.
    holds("system calls outside of a service's are refused", filtered(CALLS["mincore"], None, 0, None))
    holds("priorities stay", filtered(CALLS["ioprio_set"], 99, 0, 0))
    holds("a host may confine itself", not filtered(CALLS["landlock_create_ruleset"], None, 0, 99))
    holds("a host may be nicer", os.nice(5) >= 5)
    resource.setrlimit(resource.RLIMIT_MSGQUEUE, (0, 0))
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    for name in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"):
        holds(f"{name} is empty", int(status[name], 16) == 0)
    holds("no new privileges", status["NoNewPrivs"].strip() == "1")
    holds("system calls are filtered", status["Seccomp"].strip() == "2")
    holds("other users' processes are hidden", not os.path.exists("/proc/1/status"))
    holds("the rest of /proc is hidden", not os.path.exists("/proc/meminfo"))
    holds("no devices but the harmless ones", not any(name.startswith(("sd", "vd", "nvme", "mem", "kmsg", "fuse")) for name in os.listdir("/dev")))
    holds("/tmp is private and empty", os.listdir("/tmp") == [])
    mask = os.umask(0)
    os.umask(mask)
    holds("what it writes is for itself", mask == 0o077)
    holds("the key comes as a credential", len(open(os.environ["CREDENTIALS_DIRECTORY"] + "/audit.key").read()) == 64)
    own = "/var/lib/mednerd/audit/probe"
    with open(own, "w") as file:
        file.write("the one place that can be written")
    forbidden("a set-user-id file", lambda: os.chmod(own, 0o4700))
    os.unlink(own)
    sys.exit(1 if broken else 0)


CALLS = {"mincore": 27, "ioprio_set": 251, "landlock_create_ruleset": 444}
{"prepare": prepare, "clear": clear}.get(sys.argv[-1], probe)()
