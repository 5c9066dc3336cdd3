#!/bin/sh
# Inside the container: probe.py in the daemon's place under its unit, once as it is, then without each of its lines in turn, which has to be
# noticed: by the probe, or by what systemd says is in force (unit.properties). probe.sh UNIT PROPERTIES PROBE.py
set -eu
unit=$1 properties=$2 probe=$3
name=mednerd-probe.service
made=/run/systemd/system/$name
# What systemd does all the same without these lines, by default or because of others.
same='^KeyringMode=\|^AmbientCapabilities=\|^PrivateMounts=\|^DevicePolicy='

under() {
    sed -e "/^ExecStart=/s,=.*,=/usr/bin/python3 /var/lib/mednerd/models/probe.py," -e '/^ExecReload=\|^Restart\|^WatchdogSec=\|^Requires=\|^After=\|^StartLimit/d' \
        -e 's/^Type=.*/Type=oneshot/' -e '/^ExecPaths=/s,$, /usr/bin/python3 /usr/bin/python3.11,' "$1" >$made
    systemctl daemon-reload
    systemctl start $name 2>/dev/null
}
# Lines of properties in one order, and what is a set within them too: systemd tells that in another one each time.
ordered() {
    sort | while IFS= read -r line; do
        printf '%s=%s\n' "${line%%=*}" "$(printf '%s' "${line#*=}" | tr ' ' '\n' | sort | paste -sd' ')"
    done
}
in_force() {
    systemctl show -p "$(cut -d= -f1 "$properties" | paste -sd,)" $name | ordered >/run/probe-found
    ordered <"$properties" | diff - /run/probe-found
}

# shellcheck disable=SC2317 # It is called at the end.
clear() {
    systemctl stop mednerd-probe-socket
    python3 "$probe" clear
    rm -f "$made" /run/probe-* /var/lib/mednerd/models/probe.py
    systemctl reset-failed "$name" 2>/dev/null || true
    systemctl daemon-reload
}

install -m 644 "$probe" /var/lib/mednerd/models/probe.py
python3 "$probe" prepare
systemd-run --quiet --unit=mednerd-probe-socket python3 -c 'import socket,time; s=socket.socket(socket.AF_UNIX); s.bind("\0mednerd-probe"); s.listen(); time.sleep(9999)'
sleep 0.5
trap clear EXIT
status=0
if under "$unit" && in_force; then
    held=$(journalctl -u $name -o cat --no-pager | grep '^forbidden\|^holds' | sort -u | wc -l)
    lines=$(sed -n '/^# Note text/,/^\[Install/p' "$unit" | grep '^[A-Z][A-Za-z]*=' | grep -v "$same")
    tried=0 seen=0
    # Each line is one, whatever is in it.
    printf '%s\n' "$lines" >/run/probe-lines
    while IFS= read -r line; do
        grep -vxF "$line" "$unit" >/run/probe-unit
        tried=$((tried + 1))
        if ! under /run/probe-unit; then
            seen=$((seen + 1))
            systemctl reset-failed $name
        elif in_force >/dev/null; then
            echo "without $line nothing is noticed"
            status=1
        fi
    done </run/probe-lines
    echo "$held tries; of $tried lines, without any of which it fails, $seen are noticed by a try"
else
    journalctl -u $name -o cat --no-pager
    status=1
fi
exit $status
