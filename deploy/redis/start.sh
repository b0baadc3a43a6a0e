#!/bin/sh
# start.sh <redis.conf> [more options of redis-server]
#
# Starts the server with two users whose passwords come from the environment:
#   REDIS_PASSWORD      of `default`: an operator, may do everything
#   HOLDFAST_PASSWORD   of `holdfast`: an application, reaches keys and channels of `hf:` only
# Their SHA-256 is written to a file of this container's memory; no password stands in a
# configuration file, in the arguments of the process or in `CONFIG GET`.
set -eu
here=$(dirname "$0")
conf=$1
shift
: "${REDIS_PASSWORD:?set it: openssl rand -hex 24}"
: "${HOLDFAST_PASSWORD:?set it: openssl rand -hex 24}"
if [ "$REDIS_PASSWORD" = "$HOLDFAST_PASSWORD" ]; then
  echo 'REDIS_PASSWORD and HOLDFAST_PASSWORD are the same: an application would be an operator' >&2
  exit 1
fi
run=${REDIS_RUN_DIR:-/run/redis}
digest() { printf '%s' "$1" | sha256sum | cut -d' ' -f1; }
umask 077
sed -e "s/@OPERATOR@/$(digest "$REDIS_PASSWORD")/" -e "s/@APPLICATION@/$(digest "$HOLDFAST_PASSWORD")/" \
  "$here/users.acl" >"$run/users.acl"
unset REDIS_PASSWORD HOLDFAST_PASSWORD REDISCLI_AUTH
server=$(command -v redis-server || command -v valkey-server)
exec "$server" "$conf" --aclfile "$run/users.acl" "$@"
