#!/bin/sh
# Annotates many notes in one request: batch.sh REQUESTS [SOCKET]. REQUESTS has one JSON object a line, each with "text" and
# best with a "document_id". Prints one answer a line, as they finish; each has a "status" of its own.
set -eu
requests=$1
socket=${2:-/run/mednerd/mednerd.sock}

curl --silent --show-error --fail-with-body --no-buffer --unix-socket "$socket" \
    --header 'Content-Type: application/x-ndjson' --header 'Expect:' --upload-file "$requests" --request POST \
    http://localhost/v1/annotate/batch
