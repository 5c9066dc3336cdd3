#!/usr/bin/env bash
# Boots Debian with systemd as PID 1 in a container without a network, and does to the package what a hospital does:
# installs, asks, is refused, reloads, links, kills, upgrades and downgrades under load, fills the disk, removes, purges, and
# then does everything that the administrator's guide says.
# run.sh OLD NEW VENDOR CACHE: OLD and NEW are folders with the packages of two versions, whose plugins are signed by different keys. Needs root,
# mmdebstrap and systemd-nspawn. About six minutes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck disable=SC2034 # Both are named by "age".
old=$(realpath "$1") new=$(realpath "$2") vendor=$3 cache=$4
cuda=$(find "$new" -name 'mednerd-cuda_*' | head -1)
[ "$(id -u)" -eq 0 ] || { echo "appliance-test: needs root" >&2; exit 1; }

mkdir -p "$cache"
base=$cache/bookworm.tar
if [ ! -e "$base" ]; then
    echo "# making a Debian 12 root"
    mmdebstrap --quiet --variant=minbase --format=tar \
        --include=systemd,systemd-sysv,dbus,libpam-systemd,procps,iproute2,adduser,python3,curl bookworm "$base.new"
    mv "$base.new" "$base"
fi

place=$(mktemp -d)
container=
inside() { nsenter -t "$container" -a -- env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"; }
cleanup() {
    status=$?
    if [ -n "$container" ] && kill -0 "$container" 2>/dev/null; then
        if [ $status -ne 0 ]; then
            inside journalctl -u 'mednerd*' -n 60 --no-pager -o short-monotonic >&2 || true
            inside systemctl status --no-pager 'mednerd*' >&2 || true
        fi
        inside systemctl poweroff >/dev/null 2>&1 || true
        for _ in $(seq 100); do kill -0 "$nspawn" 2>/dev/null || break; sleep 0.1; done
    fi
    [ -z "${nspawn:-}" ] || kill -KILL "$nspawn" 2>/dev/null || true
    [ -z "${loop:-}" ] || losetup -d "$loop"
    rm -rf "$place"
    exit $status
}
trap cleanup EXIT

steps=0
pass() { steps=$((steps + 1)); echo "ok $steps - $*"; }
die() { echo "not ok $((steps + 1)) - $*"; exit 1; }
# Waits until a command inside succeeds.
until_inside() {
    for _ in $(seq 300); do inside "$@" >/dev/null 2>&1 && return; sleep 0.2; done
    die "waited in vain for: $*"
}
note() { printf '{"text": "Zyxgardquist has type 2 diabetes and takes metformin.", "document_id": "%s"}' "$1"; }
# ask USER [SOCKET [DOCUMENT]]: HTTP status and body.
ask() {
    # On standard input: a command line with the note would be in the journal by runuser's doing.
    note "${3:-by-$1}" | inside runuser -u "$1" -- curl -s -m 60 -w '\n%{http_code}' --unix-socket "${2:-/run/mednerd/mednerd.sock}" \
        http://localhost/v1/annotate -d @-
}
answered() { [[ $(ask ehr) == *Disease*200 ]] || die "$1: $(ask ehr)"; }
main_pid() { inside systemctl show -p MainPID --value mednerd.service; }

mkdir "$place/root"
tar -xf "$base" -C "$place/root"
for age in old new; do
    mkdir "$place/root/root/$age"
    for package in mednerd mednerd-umls mednerd-markup ${cuda:+mednerd-cuda}; do
        cp "${!age}/$package"_*.deb "$place/root/root/$age/$package.deb"
    done
done
cp -r "$vendor" "$place/root/root/vendor"
if [ -n "$cuda" ]; then
    # Of NVIDIA's packages, which are not Debian's, the names alone.
    for name in libcublas-13-0 libcurand-13-0; do
        mkdir -p "$place/$name/DEBIAN"
        printf 'Package: %s\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: a name\n' $name >"$place/$name/DEBIAN/control"
        dpkg-deb --root-owner-group -b "$place/$name" "$place/root/root/$name.deb" >/dev/null
    done
fi
cp "$here/load.py" "$place/root/srv/"
cp "$here"/probe.* "$here/unit.properties" "$here/textfile.py" "$place/root/root/"
cp "$here/../../packaging/models/biomed-small/README.md" "$place/root/root/card.md"
SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 setsid systemd-nspawn -D "$place/root" -b --register=no --keep-unit -M "mednerd-$$" \
    --capability=all --system-call-filter="bpf @keyring landlock_create_ruleset landlock_add_rule landlock_restrict_self" --private-network --console=read-only </dev/null >"$place/boot" 2>&1 &
nspawn=$!
for _ in $(seq 100); do
    container=$(pgrep -P "$nspawn" | head -1 || true)
    [ -n "$container" ] && inside systemctl is-active -q multi-user.target 2>/dev/null && break
    sleep 0.2
done
inside systemctl is-active -q multi-user.target || { cat "$place/boot"; die "Debian boots"; }
everything() { inside find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /var/log -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /root -o -path /var/lib/systemd -o -path /dev \) -prune -o -print | sort; }
everything >"$place/before"
pass "Debian $(inside cat /etc/debian_version) boots with $(inside systemctl --version | head -1)"

# A user of that name who is older than the package, with files elsewhere.
inside useradd --system --home-dir /srv mednerd
inside apt-get install -y -q /root/old/mednerd.deb >"$place/apt" 2>&1 || { cat "$place/apt"; die "the package installs"; }
inside systemctl is-active -q mednerd.service mednerd.socket mednerd-admin.socket || die "it runs after the installation"
inside systemctl is-enabled -q mednerd.service mednerd.socket mednerd-admin.socket || die "it is enabled"
[ "$(inside stat -c '%a %U:%G' /run/mednerd/mednerd.sock /run/mednerd/admin.sock | paste -sd' ')" = "660 mednerd:mednerd 600 mednerd:mednerd" ] || die "modes of the sockets"
[ "$(inside stat -c '%a %U' /etc/mednerd/audit.key /var/lib/mednerd/audit | paste -sd' ')" = "600 root 700 mednerd" ] || die "modes of key and trail"
pass "installs, runs, and its files are for whom they should be"

inside adduser --quiet --disabled-password --gecos '' ehr
inside adduser --quiet ehr mednerd
inside adduser --quiet --disabled-password --gecos '' stranger
inside systemctl stop mednerd.service 2>/dev/null
answered "the first request starts the daemon"
pass "the first request starts the daemon, and a member of the group is answered"

[[ $(ask stranger || true) == *000 ]] || die "a stranger is kept out by the socket's mode"
[[ $(ask ehr /run/mednerd/admin.sock || true) == *000 ]] || die "an EHR user is kept out of the admin socket"
inside mkdir -p /etc/systemd/system/mednerd.socket.d
inside sh -c 'printf "[Socket]\nSocketMode=0666\n" >/etc/systemd/system/mednerd.socket.d/test.conf; systemctl daemon-reload; systemctl restart mednerd.socket; systemctl start mednerd.service'
[[ $(ask stranger) == *peer_not_allowed*403 ]] || die "a stranger is refused with 403: $(ask stranger)"
inside sh -c 'rm -r /etc/systemd/system/mednerd.socket.d; systemctl daemon-reload; systemctl restart mednerd.socket; systemctl start mednerd.service'
pass "others are refused, by the socket's mode and by 403"

inside sh -c 'printf "[[models]]\nname = \"again\"\npath = \"/usr/share/mednerd/models/biomed-small\"\n" >/etc/mednerd/conf.d/50-again.toml'
inside systemctl reload mednerd.service || die "a good reload is taken"
until_inside sh -c 'mednerctl models | grep -q again'
inside sh -c 'echo nonsense = 1 >/etc/mednerd/conf.d/60-bad.toml'
if inside systemctl reload mednerd.service 2>/dev/null; then die "a bad reload is told"; fi
inside sh -c 'journalctl -u mednerd -o cat | grep -q "60-bad.toml:1"' || die "the journal names file and line"
inside systemctl is-active -q mednerd.service || die "the daemon serves on"
inside mednerctl models | grep -q again || die "the old configuration serves on"
answered "after a bad reload"
inside rm /etc/mednerd/conf.d/50-again.toml /etc/mednerd/conf.d/60-bad.toml
inside mednerctl reload >/dev/null
pass "a good configuration is put in force, a bad one is named by file and line and the old one serves on"

before=$(main_pid)
inside kill -KILL "$before"
answered "after SIGKILL"
[ "$(main_pid)" != "$before" ] || die "another process answers"
pass "survives SIGKILL"

inside mkdir -p /etc/systemd/system/mednerd.service.d
inside sh -c 'printf "[Service]\nWatchdogSec=4\n" >/etc/systemd/system/mednerd.service.d/test.conf; systemctl daemon-reload; systemctl restart mednerd.service'
before=$(main_pid)
inside kill -STOP "$before"
answered "after the watchdog"
[ "$(main_pid)" != "$before" ] || die "another process answers"
inside sh -c 'journalctl -u mednerd | grep -q "Watchdog timeout"' || die "the watchdog did it"
inside sh -c 'rm -r /etc/systemd/system/mednerd.service.d; systemctl daemon-reload; systemctl restart mednerd.service'
pass "a daemon that hangs is replaced by the watchdog"

# refuses_cores PID WHO: nobody gets a core of that process, neither a file nor a program that core_pattern names: that is the
# kernel's, and the host's, so what the kernel goes by is looked at.
refuses_cores() { inside grep -q "^Max core file size  *$2  *$2 " "/proc/$1/limits" || { inside cat "/proc/$1/limits"; die "$3 may leave a core"; }; }
undumpable() { [ "$(inside stat -c %u "/proc/$1/environ")" = 0 ] || die "$2 may be dumped, or looked into by its user"; }
inside kill -SEGV "$(main_pid)"
answered "after SIGSEGV"
[ -z "$(inside find / -xdev -newer /root/old/mednerd.deb -type f \( -name core -o -name 'core.*' \) -not -path '/proc/*')" ] || die "no core file"
refuses_cores "$(main_pid)" 1 "the daemon"
undumpable "$(main_pid)" "the daemon"
inside runuser -u ehr -- sh -c 'exec 3>/dev/null; sleep 9 | exec mednerctl annotate -' >/dev/null 2>&1 &
until_inside pgrep -x mednerctl
sleep 0.5
undumpable "$(inside pgrep -x mednerctl)" "mednerctl annotate"
inside pkill -x mednerctl || true
wait $! || true
pass "a crash leaves no core file, and the kernel is told to make none for anybody"

# Whatever the unit forbids, with and without each of its lines.
held=$(inside sh /root/probe.sh /lib/systemd/system/mednerd.service /root/unit.properties /root/probe.py) || { echo "$held"; die "the sandbox holds"; }
pass "the sandbox holds: $(tail -1 <<<"$held")"

# The plugin as the package brings it: index, key, configuration; its host under the daemon's unit.
linked() { note linked | sed 's/}$/, "link": true}/' | inside runuser -u ehr -- curl -s -m 60 --unix-socket /run/mednerd/mednerd.sock http://localhost/v1/annotate -d @-; }
inside apt-get install -y -q /root/old/mednerd-umls.deb >"$place/apt" 2>&1 || { cat "$place/apt"; die "the plugin's package installs"; }
inside mednerd-umls build --rrf /usr/share/mednerd/vocabularies/demo --out /var/lib/mednerd/umls.idx >/dev/null 2>&1 || die "an index is built"
inside cp /usr/share/doc/mednerd-umls/examples/60-umls.toml /etc/mednerd/conf.d/
inside mednerctl reload >"$place/reload" || { cat "$place/reload"; die "the plugin is taken"; }
[[ $(linked) == *C0011860* ]] || die "mentions are linked: $(linked)"
# landlock_create_ruleset tells its version.
if [ "$(python3 -c 'import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1))')" -gt 0 ]; then
    inside journalctl -u mednerd --no-pager | grep -q 'Landlock confines it only' && die "Landlock confines the host"
fi
host() { inside pgrep -x mednerd-plugin- || true; }
first=$(host)
[ -n "$first" ] || die "a host runs"
nice_of() { inside awk '{ print $19 }' "/proc/$1/stat"; }
[ "$(nice_of "$first")" -gt "$(nice_of "$(main_pid)")" ] || die "the host is nicer than the daemon"
inside grep -q 'mednerd.service$' "/proc/$first/cgroup" || die "the host is in the daemon's unit"
confined=$(inside grep -c '^CapEff:.*0000000000000000$\|^NoNewPrivs:.*1$\|^Seccomp:.*2$' "/proc/$first/status")
[ "$confined" = 3 ] || { inside cat "/proc/$first/status"; die "the host is confined"; }
refuses_cores "$first" 1 "a plugin"
inside kill -KILL "$first"
answered "while the host is gone"
until_inside sh -c 'mednerctl plugins | grep -q ready'
for _ in $(seq 50); do [[ $(linked) == *C0011860* ]] && break; sleep 0.2; done
[[ $(linked) == *C0011860* ]] || die "another host links: $(linked)"
[ "$(host)" != "$first" ] || die "it is another host"
# Whom the hospital does not trust is not loaded.
inside ln -s /dev/null /etc/mednerd/trusted-keys.d/mednerd.pub
if inside systemctl reload mednerd.service 2>/dev/null; then die "a plugin of a key that nobody trusts is refused"; fi
inside mednerd validate >"$place/validate" 2>&1 && die "validate tells of a key that nobody trusts"
grep -q '60-umls.toml:2: signed by key' "$place/validate" || { cat "$place/validate"; die "it names file, line and key"; }
[[ $(linked) == *C0011860* ]] || die "the old configuration serves on"
inside rm /etc/mednerd/trusted-keys.d/mednerd.pub
inside mednerctl reload >/dev/null
pass "the UMLS plugin links under the unit, confined, is replaced after SIGKILL, and is refused without its key"

# Documents as hospitals keep them, decoded by the plugin that the package brings.
inside apt-get install -y -q /root/old/mednerd-markup.deb >"$place/apt" 2>&1 || { cat "$place/apt"; die "the package of document formats installs"; }
inside cp /usr/share/doc/mednerd-markup/examples/60-markup.toml /etc/mednerd/conf.d/
inside mednerctl reload >"$place/reload" || { cat "$place/reload"; die "the plugin of document formats is taken"; }
decoded() { inside sh -c "printf '%s' '$2' | mednerctl annotate --document-format $1 --format json -" | tr -d ' \n'; }
for document in 'html:<p>No fever<br>Has <b>gou</b>t' 'rtf:{\rtf1 No fever\par Has gou\b t}' \
    'cda:<ClinicalDocument><section><text>No fever<br/>Has <content>gou</content>t</text></section></ClinicalDocument>'; do
    found=$(decoded "${document%%:*}" "${document#*:}")
    [[ $found == *'"decoded":"gout"'* ]] || die "${document%%:*} is decoded: $found"
done
found=$(inside apt-get remove -y -q mednerd-markup 2>&1)
[[ $found == *"still names this plugin"* ]] || die "who removes a plugin that is in use is told"
inside rm /etc/mednerd/conf.d/60-markup.toml
inside mednerctl reload >/dev/null
inside apt-get purge -y -q mednerd-markup >/dev/null 2>&1
inside test ! -e /usr/share/mednerd/trusted-keys.d/mednerd-markup.pub || die "its key goes with the package"
pass "HTML, RTF and CDA are decoded by the plugin of a package, which goes with its key"

# What vendor.sh built with the SDK's package, by the commands of "On the hospital's server".
inside cp /root/vendor/acme.pub /etc/mednerd/trusted-keys.d/
inside sh -c 'printf "[[plugins]]\npath = \"/usr/lib/mednerd/plugins/acme.drugs\"\n\n[[plugins]]\npath = \"/usr/lib/mednerd/plugins/example.units\"\n" >/etc/mednerd/conf.d/65-vendor.toml'
inside sh -c 'for plugin in drugs units; do mednerctl plugin install "/root/vendor/$plugin"; done; mednerctl reload' >"$place/reload" 2>&1 ||
    { cat "$place/reload"; die "a vendor's plugins are taken"; }
found=$(inside sh -c 'echo "Aspirin was stopped; no metformin." | mednerctl annotate --link --format json -')
[[ $found == *D-1* && $found == *B01AC06* ]] || die "a vendor's plugin links: $found"
inside rm /etc/mednerd/conf.d/65-vendor.toml /etc/mednerd/trusted-keys.d/acme.pub
inside sh -c 'for plugin in acme.drugs example.units; do mednerctl plugin remove "$plugin"; done; mednerctl reload' >/dev/null
pass "plugins that a vendor built with the SDK's package are installed, link, and are removed"

under_load() {
    local before
    before=$(main_pid)
    inside runuser -u ehr -- python3 /srv/load.py /run/mednerd/mednerd.sock >"$place/load" &
    local load=$!
    sleep 1
    inside "${@:2}" >"$place/apt" 2>&1 || { cat "$place/apt"; die "$1"; }
    sleep 2
    inside pkill -TERM -f '^python3 /srv/load.py'
    wait "$load" || { cat "$place/load"; die "$1: requests failed"; }
    [ "$(main_pid)" != "$before" ] || die "$1: another process answers"
    pass "$1: $(tail -1 "$place/load")"
}
inside sh -c 'echo "# mine" >>/etc/mednerd/mednerd.toml'
# Both packages at once, whose plugin has another key now; and the unit is disabled, as a cluster manager's is.
inside systemctl disable mednerd.service 2>/dev/null
under_load "upgrades under load, disabled, with a plugin of another key" apt-get install -y -q /root/new/mednerd.deb /root/new/mednerd-umls.deb
inside systemctl enable mednerd.service 2>/dev/null
inside grep -q '^# mine' /etc/mednerd/mednerd.toml || die "the configuration is kept"
! inside sh -c 'readlink /proc/$(systemctl show -p MainPID --value mednerd.service)/exe | grep deleted' || die "the new program runs"
[[ $(linked) == *C0011860* ]] || die "the new plugin links: $(linked)"
under_load "restarts under load" systemctl restart mednerd.service
under_load "downgrades under load" apt-get install -y -q --allow-downgrades /root/old/mednerd.deb /root/old/mednerd-umls.deb

# What the new version does not take: the old one must serve on. not_taken WHY CHANGE WORDS UNDO
not_taken() {
    local before
    inside sh -c "$2" >/dev/null
    before=$(main_pid)
    inside apt-get install -y -q /root/new/mednerd.deb >"$place/apt" 2>&1 || { cat "$place/apt"; die "$1: the upgrade ends well"; }
    for words in "old version serves on" "$3"; do
        grep -q "$words" "$place/apt" || { cat "$place/apt"; die "$1: the upgrade tells what to do"; }
    done
    [ "$(main_pid)" = "$before" ] || die "$1: the old daemon serves on"
    answered "after an upgrade that does not fit: $1"
    inside sh -c "$4"
}
not_taken "configuration" 'echo "nonsense = 1" >/etc/mednerd/conf.d/60-bad.toml' '60-bad.toml:1' 'rm /etc/mednerd/conf.d/60-bad.toml'
# The plugin's package gives the upgrade that was put off another chance.
before=$(main_pid)
inside apt-get install -y -q /root/new/mednerd-umls.deb >"$place/apt" 2>&1 || { cat "$place/apt"; die "the plugin's package installs"; }
[ "$(main_pid)" != "$before" ] || die "what was put off is done with the plugin's upgrade"
inside apt-get install -y -q --allow-downgrades /root/old/mednerd.deb /root/old/mednerd-umls.deb >"$place/apt" 2>&1
# Root can read it, and the service cannot.
not_taken "a model for root alone" 'cp -r /usr/share/mednerd/models/biomed-small /var/lib/mednerd/models/own
    printf "[[models]]\nname = \"own\"\npath = \"/var/lib/mednerd/models/own\"\n" >/etc/mednerd/conf.d/50-own.toml
    mednerctl reload; chmod 700 /var/lib/mednerd/models/own' 'own: cannot be read: Permission denied' \
    'if mednerd validate >/dev/null; then echo "validate by root says that all is right"; exit 1; fi
    rm -r /etc/mednerd/conf.d/50-own.toml /var/lib/mednerd/models/own'
inside apt-get install -y -q --allow-downgrades /root/old/mednerd.deb >"$place/apt" 2>&1
not_taken "no key" 'mv /etc/mednerd/audit.key /root/' 'a new key cannot verify the old trail' \
    'test ! -e /etc/mednerd/audit.key && mv /root/audit.key /etc/mednerd/'
inside systemctl restart mednerd.service
[ -z "$(inside find /run/systemd/system /run -maxdepth 1 -name 'mednerd-validate*')" ] || die "nothing is left of the checks"
pass "an upgrade that does not suit the configuration, the service's rights or the key leaves the old daemon serving, and says why"

inside mednerctl audit verify >"$place/verify" || { cat "$place/verify"; die "the audit trail verifies"; }
inside mednerctl audit show --document by-stranger | grep -q denied && die "a denied request has no document"
inside mednerctl audit export | grep -q '"event":"denied"' || die "the refusal is in the trail"
inside mednerctl audit export --document by-ehr | grep -q '"status":"ok"' || die "the answer is in the trail"
inside sh -c 'cp -r /var/lib/mednerd/audit /root/trail; sed -i "0,/\"uid\":/s/\"uid\":[0-9]/\"uid\":7/" /root/trail/audit*.ndjson'
if inside mednerctl audit verify --path /root/trail >/dev/null 2>&1; then die "an edit is found"; fi
pass "the audit trail verifies over all restarts ($(sed -n 's/^records as they were written *//p' "$place/verify") records), and an edit is found"

# A backup while much is asked, documents behind it, and the copy put back: no record is lost and both trails verify.
inside runuser -u ehr -- python3 /srv/load.py /run/mednerd/mednerd.sock >"$place/load" &
load=$!
sleep 1
inside /usr/share/mednerd/admin/backup /root/backup.tar.gz >"$place/backup" 2>&1 || { cat "$place/backup"; die "backs up under load"; }
[ "$(inside stat -c %a /root/backup.tar.gz)" = 600 ] || die "the copy is for root alone"
inside pkill -TERM -f '^python3 /srv/load.py'
wait "$load" || { cat "$place/load"; die "requests failed during the backup"; }
for number in 1 2 3; do [[ $(ask ehr /run/mednerd/mednerd.sock "behind-$number") == *200 ]] || die "is answered"; done
answers=$(inside mednerctl audit export | grep -c '"event":"document"')
inside sh -c 'echo "# behind" >>/etc/mednerd/mednerd.toml'
inside /usr/share/mednerd/admin/restore /root/backup.tar.gz >"$place/restore" 2>&1 || { cat "$place/restore"; die "is restored"; }
answered "after it was restored"
inside mednerctl audit verify >"$place/verify" || { cat "$place/verify"; die "the restored trail verifies and goes on"; }
! inside grep -q '^# behind' /etc/mednerd/mednerd.toml || die "the settings are those of the copy"
verify_aside=$(sed -n 's/.*are there: //p' "$place/restore")
[ -n "$verify_aside" ] || { cat "$place/restore"; die "says where the other records are"; }
# shellcheck disable=SC2086 # A command line as it was printed.
inside $verify_aside >"$place/verify" || { cat "$place/verify"; die "the trail that was moved aside verifies"; }
aside=$(inside sh -c 'echo /var/lib/mednerd/before-restore-*')
[ "$(inside mednerctl audit export --path "$aside/audit" --key "$aside/mednerd/audit.key" | grep -c '"event":"document"')" = "$answers" ] || die "no record is lost"
for number in 1 2 3; do
    inside mednerctl audit export --path "$aside/audit" --key "$aside/mednerd/audit.key" --document "behind-$number" | grep -q '"status":"ok"' || die "the record behind-$number is there"
done
if inside sh -c 'mkdir -p /root/evil/etc/cron.d /root/evil/etc/mednerd; touch /root/evil/etc/cron.d/evil /root/evil/etc/mednerd/audit.key
    tar -czf /root/evil.tar.gz -C /root/evil etc/mednerd etc/cron.d; /usr/share/mednerd/admin/restore /root/evil.tar.gz' >"$place/restore" 2>&1; then die "a copy with more than that is refused"; fi
inside test ! -e /etc/cron.d/evil || die "what is refused is not unpacked"
grep -q 'etc/cron.d/evil' "$place/restore" || { cat "$place/restore"; die "says what is odd in it"; }
if inside sh -c 'head -c 2000 /root/backup.tar.gz >/root/torn.tar.gz; /usr/share/mednerd/admin/restore /root/torn.tar.gz' >"$place/restore" 2>&1; then die "half a copy is refused"; fi
answered "after half a copy was refused"
inside rm -r /root/backup.tar.gz /root/torn.tar.gz "$aside"
pass "backed up under load and restored: $answers records of documents are kept, those since the copy beside it, and both trails verify"

# Metrics as node_exporter's collector reads them, and what monitoring says when there is no daemon.
inside sh -c '/usr/share/mednerd/admin/textfile /root/mednerd.prom && python3 /root/textfile.py /root/mednerd.prom mednerd_up=1 mednerd_healthy=1 "mednerd_requests_total{route=\"/v1/annotate\",status=\"429\"}=0"' ||
    die "the collector reads what the script writes"
inside runuser -u ehr -- /usr/share/mednerd/admin/check_mednerd >"$place/check" || { cat "$place/check"; die "Nagios is told OK"; }
rc=0; inside runuser -u stranger -- /usr/share/mednerd/admin/check_mednerd >"$place/check" || rc=$?
[ $rc = 3 ] || { cat "$place/check"; die "Nagios is told UNKNOWN by a stranger ($rc)"; }
inside systemctl stop mednerd.socket mednerd-admin.socket mednerd.service 2>/dev/null
inside sh -c '/usr/share/mednerd/admin/textfile /root/mednerd.prom && python3 /root/textfile.py /root/mednerd.prom mednerd_up=0' || die "a dead daemon is seen"
! inside grep -q mednerd_healthy /root/mednerd.prom || die "and nothing old stays"
rc=0; inside /usr/share/mednerd/admin/check_mednerd >"$place/check" || rc=$?
[ $rc = 2 ] || { cat "$place/check"; die "Nagios is told CRITICAL ($rc)"; }
inside systemctl start mednerd.socket mednerd-admin.socket mednerd.service
inside rm /root/mednerd.prom
answered "after monitoring"
pass "monitoring reads the metrics, and is told when there is no daemon"

# A disk as it is found after a loss of power: what has reached the device, without what is still in memory.
truncate -s 16M "$place/disk"
mkfs.ext4 -q "$place/disk"
loop=$(losetup --find --show "$place/disk")
mkdir "$place/mount"
found_after_power_loss() {
    cp "$place/disk" "$place/lost"
    mount -o loop "$place/lost" "$place/mount"
    local found=0
    grep -q "\"document_id\":\"$1\"" "$place/mount/audit.ndjson" || found=1
    umount "$place/mount"
    return $found
}
inside systemctl stop mednerd.service 2>/dev/null
inside mknod /root/disk b "$((0x$(stat -c %t "$loop")))" "$((0x$(stat -c %T "$loop")))"
inside mount /root/disk /var/lib/mednerd/audit
inside sh -c 'chown mednerd: /var/lib/mednerd/audit; chmod 700 /var/lib/mednerd/audit; printf "[audit]\nsync = \"record\"\n" >/etc/mednerd/conf.d/70-sync.toml'
for number in 1 2 3; do
    [[ $(ask ehr /run/mednerd/mednerd.sock "record-$number") == *200 ]] || die "is answered"
    found_after_power_loss "record-$number" || die "a record that has to be on the disk before the answer is there"
done
inside rm /etc/mednerd/conf.d/70-sync.toml
inside mednerctl reload >/dev/null
[[ $(ask ehr /run/mednerd/mednerd.sock periodic) == *200 ]] || die "is answered"
for _ in $(seq 10); do sleep 1; found_after_power_loss periodic && break; done
found_after_power_loss periodic || die "a record is on the disk soon"
inside systemctl stop mednerd.service 2>/dev/null
inside umount /var/lib/mednerd/audit
losetup -d "$loop"
loop=
pass "a loss of power costs no record that was answered with sync = \"record\", and those of the last moment otherwise"

inside sh -c 'mount -t tmpfs -o size=512k,mode=700,uid=$(id -u mednerd),gid=$(id -g mednerd) full /var/lib/mednerd/audit'
answered "on a small disk"
inside sh -c 'dd if=/dev/zero of=/var/lib/mednerd/audit/filler bs=1k status=none || true'
refused=0
for _ in $(seq 12); do [[ $(ask ehr) == *audit_unavailable*503 ]] && refused=$((refused + 1)); done
[ $refused -ge 3 ] || die "documents are refused while the disk is full ($refused of 12)"
inside systemctl is-active -q mednerd.service || die "the daemon lives on a full disk"
inside rm /var/lib/mednerd/audit/filler
answered "when there is room again"
inside mednerctl audit verify >/dev/null || die "the trail verifies after the disk was full"
inside systemctl stop mednerd.service 2>/dev/null
inside umount /var/lib/mednerd/audit
answered "on the old disk"
pass "fails closed on a full disk ($refused of 12 refused) and recovers by itself"

inside mednerctl doctor >"$place/doctor" || { cat "$place/doctor"; die "doctor finds nothing wrong"; }
inside mednerctl support-bundle --output /root/bundle >/dev/null || die "a support bundle is made"
inside sh -c 'rm -f /var/lib/mednerd/audit/audit.key; chmod 755 /var/lib/mednerd/audit; mednerctl doctor' >"$place/doctor" && die "doctor finds what is wrong"
grep -q 'chmod 700 /var/lib/mednerd/audit' "$place/doctor" || { cat "$place/doctor"; die "doctor says what to do"; }
inside chmod 700 /var/lib/mednerd/audit
# wrong WORDS CHANGE: after the change the daemon does not start, and doctor says these words about it.
wrong() {
    inside sh -c "$2; systemctl reset-failed 'mednerd*'"
    if inside systemctl restart mednerd.service 2>/dev/null; then die "$1: it does not start"; fi
    for _ in $(seq 20); do
        # In between it may be about to start once more.
        inside mednerctl --timeout 1 doctor >"$place/doctor" || true
        grep -q "^WRONG  *systemd  *mednerd.service" "$place/doctor" && grep -q "$1" "$place/doctor" && return
    done
    cat "$place/doctor"
    die "doctor says: $1"
}
# A wrong configuration does not get right by trying again. Doctor knocks at the socket, and then it is tried once more.
inside sh -c 'echo "threads = = 3" >/etc/mednerd/conf.d/60-bad.toml'
if inside systemctl restart mednerd.service 2>/dev/null; then die "a wrong configuration ends the start"; fi
inside systemctl is-failed -q mednerd.service || die "a wrong configuration is tried once"
wrong "60-bad.toml:1: " true
wrong "own: cannot be read: Permission denied" 'rm /etc/mednerd/conf.d/60-bad.toml; cp -r /usr/share/mednerd/models/biomed-small /var/lib/mednerd/models/own
    chmod 700 /var/lib/mednerd/models/own; printf "[[models]]\nname = \"own\"\npath = \"/var/lib/mednerd/models/own\"\n" >/etc/mednerd/conf.d/50-own.toml'
wrong "it is truncated" 'chmod 755 /var/lib/mednerd/models/own; truncate -s 1000000 /var/lib/mednerd/models/own/model.safetensors'
wrong "restore it from the backup" 'rm -r /etc/mednerd/conf.d/50-own.toml /var/lib/mednerd/models/own; mv /etc/mednerd/audit.key /root/'
wrong "chown -R mednerd: /var/lib/mednerd/audit" 'mv /root/audit.key /etc/mednerd/; chown root: /var/lib/mednerd/audit/audit.ndjson'
inside sh -c 'chown -R mednerd: /var/lib/mednerd/audit; systemctl reset-failed "mednerd*"; systemctl start mednerd.socket mednerd-admin.socket mednerd'
answered "when all is right again"
pass "doctor finds what is wrong and says what to do"

inside journalctl --no-pager -o verbose >"$place/journal"
if grep -qi 'zyxgard' "$place/journal"; then die "no note text in the journal"; fi
found=$(inside sh -c 'grep -rli zyxgard /var /etc /tmp /run/mednerd /root/bundle /root/trail 2>/dev/null || true')
[ -z "$found" ] || die "no note text on disk: $found"
pass "no note text in the journal, the audit trail, the support bundle, /var, /etc, /tmp"

inside apt-get remove -y -q mednerd >"$place/apt" 2>&1 || { cat "$place/apt"; die "removes"; }
inside test ! -e /run/mednerd || die "the sockets are gone: $(inside ls /run/mednerd)"
inside test -s /var/lib/mednerd/audit/audit.ndjson -a -e /etc/mednerd/audit.key || die "removing keeps trail and key"
inside apt-get install -y -q /root/new/mednerd.deb >"$place/apt" 2>&1
answered "when it is installed again"
inside mednerctl audit verify >/dev/null || die "the trail goes on"
pass "is removed, and installed again goes on where it was"

if [ -n "$cuda" ]; then
    # In place of the driver's own, which is not there: says who asked it for what.
    inside sh -c 'printf "#!/bin/sh\necho \$(id -u) \$* >>/run/nvidia-modprobe\n" >/usr/bin/nvidia-modprobe; chmod 755 /usr/bin/nvidia-modprobe'
    inside sh -c 'apt-get install -y -q /root/new/mednerd-cuda.deb /root/libcublas-13-0.deb /root/libcurand-13-0.deb' >"$place/apt" 2>&1 || { cat "$place/apt"; die "mednerd-cuda installs"; }
    inside systemctl show -p DeviceAllow --value mednerd.service | grep -q 'char-nvidia-uvm rw' || die "the unit opens NVIDIA's devices"
    answered "where there is no driver"
    inside grep -q '^0 -u' /run/nvidia-modprobe || die "the device nodes are asked for, by root"
    reason=$(inside mednerctl status)
    [[ $reason == *"there is no libcuda.so.1"* ]] || die "status tells why the CPU computes: $reason"
    # As the guide says, all of them at once: it stays.
    inside apt-get install -y -q --allow-downgrades /root/old/mednerd.deb /root/old/mednerd-umls.deb /root/old/mednerd-cuda.deb >"$place/apt" 2>&1 || { cat "$place/apt"; die "all go down at once"; }
    inside apt-get install -y -q /root/new/mednerd.deb /root/new/mednerd-umls.deb /root/new/mednerd-cuda.deb >"$place/apt" 2>&1 || { cat "$place/apt"; die "all go up at once"; }
    inside test -e /usr/libexec/mednerd/mednerd-cuda -a -e /usr/share/mednerd/apparmor.d/mednerd-cuda || die "mednerd-cuda is kept by an upgrade of all"
    answered "after an upgrade of all"
    # Not purged: what it opens goes with it.
    inside apt-get remove -y -q mednerd-cuda >"$place/apt" 2>&1 || { cat "$place/apt"; die "mednerd-cuda is removed"; }
    [ -z "$(inside find /etc/apparmor.d /usr/share/mednerd -name '*mednerd-cuda*')" ] || die "the profile is closed again"
    inside apt-get purge -y -q mednerd-cuda libcublas-13-0 libcurand-13-0 >"$place/apt" 2>&1 || { cat "$place/apt"; die "mednerd-cuda is purged"; }
    ! inside systemctl show -p DeviceAllow --value mednerd.service | grep -q nvidia || die "the unit is closed again"
    answered "after mednerd-cuda"
    inside rm /usr/bin/nvidia-modprobe
    pass "mednerd-cuda opens the unit to a GPU and nothing else, says that there is no driver, and goes without a trace"
fi

inside rm /etc/mednerd/conf.d/60-umls.toml /var/lib/mednerd/umls.idx
inside apt-get purge -y -q mednerd mednerd-umls >"$place/apt" 2>&1 || { cat "$place/apt"; die "purges"; }
inside deluser --quiet ehr mednerd 2>/dev/null || true
inside sh -c 'userdel -r ehr; userdel -r stranger' 2>/dev/null
everything >"$place/after"
inside getent passwd mednerd >/dev/null || die "an account that was there before the package stays"
left=$(comm -13 "$place/before" "$place/after" | grep -v '^/etc/\(passwd\|group\|shadow\|gshadow\|subuid\|subgid\)-$\|^/var/mail\|systemd-private-[0-9a-f]*-systemd-\|\.pyc$\|__pycache__$' || true)
[ -z "$left" ] || die "nothing is left after a purge: $left"
pass "is purged, and nothing is left but the user who was there before"

# The guide, on this server that has no mednerd: a user and a service of an EHR system, a release of the UMLS, a model, a note, a letter.
inside useradd mirth
inside mkdir -p /root/guide /srv/umls/2026AA /srv/copied /var/lib/node_exporter
inside sh -c 'printf "[Service]\nExecStart=/bin/sleep infinity\n" >/run/systemd/system/mirthconnect.service
    echo "APT::Get::Assume-Yes \"true\";" >/etc/apt/apt.conf.d/guide
    ln -s /usr/share/mednerd/vocabularies/demo /srv/umls/2026AA/META
    ln -s /usr/share/mednerd/models/biomed-small /srv/copied/pathology
    echo "Type 2 diabetes." >/root/guide/note.txt
    printf "%s" "{\\rtf1 Type 2 {\\b diabetes}.}" >/root/guide/letter.rtf
    for package in mednerd mednerd-umls mednerd-markup; do cp "/root/new/$package.deb" "/root/guide/${package}_1_amd64.deb"; done'
cp "$here/guide.py" "$here/../../packaging/doc/administrator-guide.md" "$place/root/root/"
followed=$(inside sh -c 'cd /root/guide && python3 ../guide.py ../administrator-guide.md') || die "the guide can be followed"
pass "the administrator's guide is followed: $followed commands"
echo "$steps passed, 0 failed"
