#!/usr/bin/env python3
"""Does, as root on a server, everything that the administrator's guide says: each command of its blocks in their order, with what it
configures, then each command that a sentence or table names; looks at what some of them say. guide.py GUIDE; the packages lie in the working directory.
"""
import os
import re
import shutil
import subprocess
import sys

# Commands in sentences that are run: those of these programs, but for what has PLACEHOLDERS, takes long or waits for somebody.
PROGRAMS = ("systemctl", "mednerctl", "mednerd ", "journalctl", "systemd-tmpfiles", "systemd-analyze", "curl")
LEFT_OUT = ("systemctl edit", "mednerctl bench", "journalctl --namespace")
CHECK = "/usr/share/mednerd/admin/check_mednerd"
# What has to be in the answer of a command that begins so; each has to be met.
SAYS = {
    "systemctl status mednerd": "active (running)",
    "mednerctl doctor": "ok      daemon",
    "mednerctl model list": "pathology",
    "mednerctl model verify": "pathology",
    "mednerctl annotate --link": "C0011860",
    "mednerctl audit verify": "nothing was changed",
    "mednerctl audit show --text": "ok",
    "/usr/share/mednerd/admin/restore": "before-restore-",
    CHECK: "MEDNERD OK",
    "systemctl is-active mednerd": "active",
    "curl --unix-socket /run/mednerd/mednerd.sock http://localhost/readyz": '"ok"',
    "curl --unix-socket /run/mednerd/mednerd.sock http://localhost/metrics": "mednerd_healthy 1",
}
met = set()


def run(command, **environment):
    settings = os.environ | {"SYSTEMD_PAGER": "cat"} | environment
    # An editor is opened on a terminal alone.
    words = ["script", "-qec", command, "/dev/null"] if command.startswith("systemctl edit") else ["bash", "-c", command]
    done = subprocess.run(words, env=settings, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
    for start, words in SAYS.items():
        if command.startswith(start):
            met.add(start)
            if words not in done.stdout:
                sys.exit(f"{command}: does not say {words!r}:\n{done.stdout}{done.stderr}")


def commands(block):
    """Each command of a console block with its remark, which may go on below it."""
    found = []
    for line in block.splitlines():
        if match := re.fullmatch(r"# (.*?)(?:\s{2,}# (.*))?", line):
            found.append([match[1].strip(), match[2] or ""])
        elif match := re.fullmatch(r"\s+# (.*)", line):
            found[-1][1] += "\n" + match[1]
    return found


def configure(block):
    """Puts a block into force, with a copy of the shipped model wherever it names one that no command installed."""
    for path in re.findall(r'^path = "(/var/lib/mednerd/models/[^"]+)"', block, re.M):
        if os.path.exists(path):
            continue
        shutil.copytree("/usr/share/mednerd/models/biomed-small", path)
    with open("/etc/mednerd/conf.d/50-local.toml", "w") as file:
        file.write(block)
    run("mednerd validate && systemctl reload mednerd")


def main(guide):
    with open(guide) as file:
        text = file.read()
    done = 0
    for kind, block in re.findall(r"```(console|sh|toml)\n(.*?)```", text, re.S):
        if kind == "toml":
            configure(block)
            continue
        for command, remark in [(block, "")] if kind == "sh" else commands(block):
            # What the remark of `systemctl edit` says is what is written there.
            run(command, SYSTEMD_EDITOR=f"sh -c 'printf \"%s\\n\" \"$REMARK\" >\"$0\"'", REMARK=remark)
            done += 1
            if done == 1:
                for package in [name for name in os.listdir() if name.endswith(".deb")]:
                    for age in ("NEW", "OLD"):
                        shutil.copy(package, package.replace("_1_", f"_{age}_"))
    blocks = re.sub(r"```.*?```", "", text, flags=re.S)
    for command in dict.fromkeys(" ".join(words.split()) for words in re.findall(r"`([^`]+)`", blocks)):
        command = command.removeprefix("sudo ")
        placeholder = re.search(r"\b[A-Z]{3,}\b", command)
        named = command == CHECK or command.startswith(PROGRAMS) and " " in command
        if named and not command.startswith(LEFT_OUT) and not placeholder:
            run(command)
            done += 1
    if done < 25:
        sys.exit(f"{done} commands were found in the guide")
    if missing := set(SAYS) - met:
        sys.exit(f"not in the guide: {missing}")
    with open("/var/lib/node_exporter/mednerd.prom") as file:
        if "\nmednerd_up 1\n" not in file.read():
            sys.exit("the metrics are not in the file")
    print(done)


main(sys.argv[1])
