#!/usr/bin/env python3
"""Tries, in the place of the daemon, everything that its unit promises to forbid. One line each; ends with 1 where one worked."""
import ctypes
import mmap
import os
import resource
import socket
import sys

broken = 0


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


def call(number, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, *arguments) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def write(path):
    return lambda: open(path, "w").close()


for family in ("AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_VSOCK"):
    forbidden(f"a socket of {family}", lambda: socket.socket(getattr(socket, family), socket.SOCK_RAW if family == "AF_PACKET" else socket.SOCK_STREAM))
socket.socket(socket.AF_UNIX).close()
for path in ("/etc/probe", "/usr/probe", "/var/probe", "/var/lib/mednerd/probe", "/var/lib/mednerd/models/probe", "/srv/probe", "/home/probe", "/root/probe", "/opt/probe", "/etc/mednerd/mednerd.toml", "/usr/bin/mednerd"):
    forbidden(f"writing {path}", write(path))
forbidden("reading the key's file", lambda: open("/etc/mednerd/audit.key").close())
forbidden("running a shell", lambda: os.execv("/bin/sh", ["sh"]))
forbidden("running another program", lambda: os.execv("/usr/bin/true", ["true"]))
forbidden("a user namespace", lambda: call(272, 0x10000000))
forbidden("a mount", lambda: call(165, b"none", b"/mnt", b"tmpfs", 0, None))
forbidden("tracing a process", lambda: call(101, 16, 1, 0, 0))
forbidden("a kernel key ring", lambda: call(250, 0, -3, 1, 0, 0))
forbidden("loading BPF", lambda: call(321, 0, None, 0))
forbidden("memory that can be written and run", lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC))
forbidden("a set-user-id file", lambda: os.chmod("/tmp", 0o4700))
forbidden("becoming root", lambda: os.setuid(0))
forbidden("raising the core limit", lambda: resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20)))
holds("core files have no room", resource.getrlimit(resource.RLIMIT_CORE) == (0, 0))
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
for name in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"):
    holds(f"{name} is empty", int(status[name], 16) == 0)
holds("no new privileges", status["NoNewPrivs"].strip() == "1")
holds("system calls are filtered", status["Seccomp"].strip() == "2")
holds("other users' processes are hidden", not os.path.exists("/proc/1/status"))
holds("no devices but the harmless ones", not any(name.startswith(("sd", "vd", "nvme", "mem", "kmsg", "fuse")) for name in os.listdir("/dev")))
holds("/tmp is private and empty", os.listdir("/tmp") == [])
holds("the key comes as a credential", len(open(os.environ["CREDENTIALS_DIRECTORY"] + "/audit.key").read()) == 64)
with open("/var/lib/mednerd/audit/probe", "w") as file:
    file.write("the one place that can be written")
os.unlink("/var/lib/mednerd/audit/probe")
sys.exit(1 if broken else 0)
