#!/usr/bin/env bash
# Starts an MLflow server here unless one answers already, and waits until it is up.
#
#   MLFLOW_SERVER_DIR           its folder: log, process id, users        (~/search/mlflow)
#   MLFLOW_BACKEND_STORE_URI    the database                              (sqlite:///$MLFLOW_SERVER_DIR/mlflow.db)
#   MLFLOW_ARTIFACTS_DESTINATION  the files: a folder, s3://..., gs://... ($MLFLOW_SERVER_DIR/artifacts)
#   MLFLOW_HOST, MLFLOW_PORT    the address to listen on                  (127.0.0.1, 5000)
#   MLFLOW_SERVER_ALLOWED_HOSTS   what clients may call it (localhost, and the machine's addresses and names); any other
#                               name gets a 403: head.example.org:*,localhost:*
#
# Whoever reaches the port may read, change and delete everything: firewall it, or have it ask for user and password by
# writing into $MLFLOW_SERVER_DIR/auth.env (chmod 600) before the first start
#   export MLFLOW_FLASK_SERVER_SECRET_KEY=...   # openssl rand -hex 32
#   export MLFLOW_AUTH_ADMIN_PASSWORD=...       # of the user `admin`
# and giving each client ~/.mlflow/credentials or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.
set -euo pipefail

home=${MLFLOW_SERVER_DIR:-$HOME/search/mlflow}
host=${MLFLOW_HOST:-127.0.0.1}
port=${MLFLOW_PORT:-5000}
patience=${MLFLOW_SERVER_PATIENCE_S:-120}
mkdir -p "$home"
cd "$home"  # MLflow keeps the database of its users in the current folder
log=$home/server.log
asked=$host
if [ "$host" = 0.0.0.0 ]; then asked=127.0.0.1; fi

healthy() {
    python - "http://$asked:$port/health" 2> /dev/null <<'END'
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
sys.exit(opener.open(sys.argv[1], timeout=5).read() != b"OK")
END
}

if healthy; then
    echo "MLflow answers on $asked:$port already; its log, if this script started it: $log"
    exit 0
fi

options=()
if [ -e auth.env ]; then
    # shellcheck disable=SC1091
    . ./auth.env
    options=(--app-name basic-auth)
elif [ "$host" != 127.0.0.1 ]; then
    echo "MLflow on $host:$port asks for no password: only the cluster's machines may reach this port."
fi

if [ -z "${MLFLOW_SERVER_ALLOWED_HOSTS:-}" ]; then
    names="localhost 127.0.0.1 $(hostname) $(hostname -f 2> /dev/null || true) $(hostname -I)"
    names=$(printf '%s:*,' $names)
    export MLFLOW_SERVER_ALLOWED_HOSTS=${names%,}
fi
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false  # seven more processes, for jobs that are not used here
# Detached: it outlives the ssh session that starts it, and `ray stop`.
setsid nohup mlflow server --host "$host" --port "$port" "${options[@]}" \
    --backend-store-uri "${MLFLOW_BACKEND_STORE_URI:-sqlite:///$home/mlflow.db}" \
    --artifacts-destination "${MLFLOW_ARTIFACTS_DESTINATION:-$home/artifacts}" \
    < /dev/null >> "$log" 2>&1 &
pid=$!
echo "$pid" > server.pid

deadline=$((SECONDS + patience))
until healthy; do
    if ! kill -0 "$pid" 2> /dev/null || [ "$SECONDS" -ge "$deadline" ]; then
        echo "MLflow did not come up on $host:$port within $patience s. The end of $log:" >&2
        tail -n 20 "$log" >&2
        kill "$pid" 2> /dev/null || true
        exit 1
    fi
    sleep 1
done
echo "MLflow listens on $host:$port (process $pid); log: $log"
