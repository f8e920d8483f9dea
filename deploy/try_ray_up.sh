#!/usr/bin/env bash
# A real `ray up` of cluster.yaml, over ssh, to a head and two workers that are namespaces on this machine, and what a
# user does next: submits jobs and stops one; with --search runs a search too. 3 to 5 minutes; needs root, .venv, and
#   apt-get install iproute2 openssh-server rsync
# The one thing that is not as in cluster.yaml, names and addresses aside: the nodes use this project's .venv, for to
# install the requirements on each would take long.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=deploy/emulated_machines.sh
. deploy/emulated_machines.sh
export PATH=$project/.venv/bin:$PATH RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0

say() { echo; echo "=== [$SECONDS s] $*"; }
fail() { echo "FAILED: $*" >&2; exit 1; }

machine head 2
machine worker-1 3
machine worker-2 4
reachable 2 3 4

say "a token, as the top of cluster.yaml says"
ray get-auth-token --generate > /dev/null
chmod 600 ~/.ray/auth_token
python - << END
import yaml
config = yaml.safe_load(open("cluster.yaml"))
config["provider"] |= {"head_ip": "$network.2", "worker_ips": ["$network.3", "$network.4"]}
config["auth"] = {"ssh_user": "root", "ssh_private_key": "$ssh_key"}
commands = config["setup_commands"]
[install] = [i for i, command in enumerate(commands) if "pip install" in command]
commands[install] = "ln -sfn $project/.venv ~/search/venv"
[environment] = [i for i, command in enumerate(commands) if "SEARCH_STORAGE" in command]
commands[environment] = commands[environment].replace("/shared/", "/mnt/shared/")
yaml.safe_dump(config, open("/tmp/cluster.yaml", "w"), sort_keys=False, width=1000)
END

say "ray up"
ray up --yes --log-style pretty --log-color false /tmp/cluster.yaml

say "who listens where on the head (8265: the dashboard, 5000: MLflow, 6379: Ray)"
on 2 "ss -Hltn '( sport = 8265 or sport = 5000 or sport = 6379 )'"
on 2 "ss -Hltn 'sport = 8265'" | grep -q '127.0.0.1:8265' || fail "the dashboard is not on loopback"

say "a tunnel to the dashboard, and a job with the token"
ray dashboard /tmp/cluster.yaml > /tmp/tunnel.log 2>&1 &
for _ in $(seq 50); do (exec 3<> /dev/tcp/127.0.0.1/8265) 2> /dev/null && break; sleep 0.2; done
mkdir /tmp/work
cat > /tmp/work/nodes.py << 'END'
import json, os, socket, time, urllib.request
import ray

@ray.remote
def look():
    question = os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"
    answer = json.load(urllib.request.urlopen(question, timeout=30))["experiment"]
    mode = oct(os.stat(os.path.expanduser("~/.ray/auth_token")).st_mode & 0o777)
    names = ("MLFLOW_TRACKING_URI", "RAY_AUTH_MODE", "RAY_JOB_STOP_WAIT_TIME_S", "SEARCH_DATA_DIR", "SEARCH_STORAGE")
    given = " ".join(f"{name}={os.environ.get(name)}" for name in names)
    return socket.gethostname(), f"MLflow keeps {answer['artifact_location']}; token {mode}; {given}"

ray.init()
began = time.monotonic()
while len(alive := [node for node in ray.nodes() if node["Alive"]]) < 3:
    assert time.monotonic() - began < 180, f"after 3 minutes only {len(alive)} nodes"
    time.sleep(1)
print(f"3 nodes {time.monotonic() - began:.0f} s after the job began: {ray.cluster_resources().get('CPU'):g} CPUs")
by_node = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
for node in alive:
    print(*ray.get(look.options(scheduling_strategy=by_node(node["NodeID"], soft=False)).remote()), sep=": ")
END
submit=(ray job submit --address http://127.0.0.1:8265 --working-dir /tmp/work)
"${submit[@]}" -- python nodes.py

say "the same without a token, and with a wrong one"
if RAY_AUTH_MODE=disabled "${submit[@]}" -- python nodes.py > /tmp/refused.log 2>&1; then fail "accepted"; fi
grep -iom1 'unauthorized\|401.*' /tmp/refused.log
if RAY_AUTH_TOKEN=wrong "${submit[@]}" -- python nodes.py > /tmp/refused.log 2>&1; then fail "accepted"; fi
grep -iom1 'forbidden\|403.*\|unauthorized\|401.*' /tmp/refused.log

say "a job that takes 10 s to end is given them"
cat > /tmp/work/slow.py << 'END'
import signal, sys, time

def end(*_):
    time.sleep(10)
    print("ended cleanly", flush=True)
    sys.exit(0)

signal.signal(signal.SIGTERM, end)
print("begun", flush=True)
time.sleep(600)
END
"${submit[@]}" --no-wait --submission-id slow -- python slow.py > /dev/null
export RAY_API_SERVER_ADDRESS=http://127.0.0.1:8265
for _ in $(seq 60); do ray job logs slow 2> /dev/null | grep -q begun && break; sleep 1; done
ray job stop slow | tail -n 1
ray job logs slow | grep 'ended cleanly' || fail "it was killed"

say "ray up --no-restart leaves the cluster as it is"
ray up --yes --no-restart /tmp/cluster.yaml > /tmp/again.log 2>&1 || { cat /tmp/again.log; fail "ray up --no-restart"; }
ray exec /tmp/cluster.yaml 'ray status' 2> /dev/null | grep -A4 'Active:'

if [ "${1:-}" = --search ]; then
    say "a search"
    cp -r search trainables analysis spaces pyproject.toml /tmp/work
    "${submit[@]}" -- python -u -m search.run spaces/quickstart.yaml --no-report --set budget.trials=6 \
        --set scheduler.max_epochs=3 --set confirm=null
    find /mnt/shared -maxdepth 3
fi

say "ray down"
ray down --yes /tmp/cluster.yaml > /tmp/down.log 2>&1 || { cat /tmp/down.log; fail "ray down"; }
on 2 'pgrep -a raylet' && fail "the head's Ray is still there"
say "done"
