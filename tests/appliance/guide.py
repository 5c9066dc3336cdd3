#!/usr/bin/env python3
"""Does, as root on a server, everything that the administrator's guide says: each command of its blocks in their order, with what it
configures, then each command that a sentence or table names. guide.py GUIDE; the packages lie in the working directory.
"""
import os
import re
import shutil
import subprocess
import sys

# Commands in sentences that are run: those of these programs, but for what has PLACEHOLDERS, takes long or waits for somebody.
PROGRAMS = ("systemctl", "mednerctl", "mednerd ", "journalctl", "systemd-tmpfiles", "systemd-analyze", "curl")
LEFT_OUT = ("systemctl edit", "mednerctl bench")


def run(command, **environment):
    settings = os.environ | {"SYSTEMD_PAGER": "cat"} | environment
    # An editor is opened on a terminal alone.
    words = ["script", "-qec", command, "/dev/null"] if command.startswith("systemctl edit") else ["bash", "-c", command]
    done = subprocess.run(words, env=settings, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")


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
                package = next(name for name in os.listdir() if re.match(r"mednerd_.*\.deb$", name))
                for age in ("NEW", "OLD"):
                    shutil.copy(package, f"mednerd_{age}_amd64.deb")
    blocks = re.sub(r"```.*?```", "", text, flags=re.S)
    for command in dict.fromkeys(" ".join(words.split()) for words in re.findall(r"`([^`]+)`", blocks)):
        command = command.removeprefix("sudo ")
        placeholder = re.search(r"\b[A-Z]{3,}\b", command)
        if command.startswith(PROGRAMS) and not command.startswith(LEFT_OUT) and " " in command and not placeholder:
            run(command)
            done += 1
    if done < 25:
        sys.exit(f"{done} commands were found in the guide")
    print(done)


main(sys.argv[1])
