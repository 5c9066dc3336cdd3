#!/bin/sh
# Annotates one note with curl: annotate.sh NOTE [SOCKET [ID]]. Prints the answer as JSON. ID is your number of the document; it stands
# in the audit trail, so a file's name, which may be a patient's, is not sent.
set -eu
note=$1
socket=${2:-/run/mednerd/mednerd.sock}
id=${3:-}

# A JSON string of any text is what python3 or jq make; here python3 does it. The time is above the daemon's
# default_deadline_ms (60 s), so that its 408 comes before curl gives up.
python3 -c '
import json, sys
note, id = sys.argv[1:]
text = open(note, encoding="utf-8", newline="").read()
print(json.dumps({"text": text, "document_id": id or None}))' "$note" "$id" |
    curl --silent --show-error --fail-with-body --max-time 90 --unix-socket "$socket" \
        --header 'Content-Type: application/json' --data-binary @- http://localhost/v1/annotate
echo
