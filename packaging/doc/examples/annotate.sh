#!/bin/sh
# Annotates one note with curl: annotate.sh NOTE [SOCKET]. Prints the answer as JSON.
set -eu
note=$1
socket=${2:-/run/mednerd/mednerd.sock}

# A JSON string of any text is what python3 or jq make; here python3 does it. The time is above the daemon's
# default_deadline_ms (60 s), so that its 408 comes before curl gives up.
python3 -c 'import json,sys; print(json.dumps({"text": open(sys.argv[1], encoding="utf-8", newline="").read(), "document_id": sys.argv[1].rsplit("/", 1)[-1]}))' "$note" |
    curl --silent --show-error --fail-with-body --max-time 90 --unix-socket "$socket" \
        --header 'Content-Type: application/json' --data-binary @- http://localhost/v1/annotate
echo
