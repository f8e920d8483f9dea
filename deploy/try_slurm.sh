#!/usr/bin/env bash
# Runs deploy/slurm/search.sbatch on three machines that are namespaces here. Slurm is played by two stubs: `srun` runs
# its command on each machine by ssh, and USR1 comes from `kill`. A search runs to its end, and a second one is ended by
# the signal. 4 to 8 minutes; needs root, this project's .venv, and
#   apt-get install iproute2 openssh-server rsync
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=deploy/emulated_machines.sh
. deploy/emulated_machines.sh

machine node-1 2
machine node-2 3
machine node-3 4
reachable 2 3 4

mkdir /mnt/bin
cat > /mnt/bin/srun << END
#!/usr/bin/env bash
while [[ \$1 == --* ]]; do shift; done
command=\$(printf '%q ' "\$@")
exported=\$(export -p | grep -v ' HOME=')
for number in 2 3 4; do
    ssh -q -i $ssh_key -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \\
        root@$network.\$number "\$exported
cd $project && \$command" < /dev/null &
    tasks+=(\$!)
done
for task in "\${tasks[@]}"; do wait "\$task" || status=\$?; done
exit "\${status:-0}"
END
chmod +x /mnt/bin/srun
# A home that all nodes share, as far as the token goes.
on 2 "RAY_AUTH_MODE=token $project/.venv/bin/ray get-auth-token --generate > /dev/null; cp ~/.ray/auth_token /mnt/token"
for number in 3 4; do on $number "mkdir ~/.ray && cp /mnt/token ~/.ray/auth_token"; done

# sbatch ARGUMENT...: what Slurm would run on the first node.
sbatch() {
    on 2 "export PATH=/mnt/bin:\$PATH SLURM_JOB_NUM_NODES=3 SLURM_CPUS_PER_TASK=2 SEARCH_STORAGE=/mnt/shared
        export MLFLOW_SERVER_DIR=/mnt/mlflow MLFLOW_ARTIFACTS_DESTINATION=/mnt/mlflow/artifacts
        export MLFLOW_BACKEND_STORE_URI=sqlite:////mnt/mlflow/mlflow.db
        cd $project && echo \$\$ > /mnt/batch && exec bash deploy/slurm/search.sbatch $*"
}
small="spaces/quickstart.yaml --no-report --set confirm=null --set budget.trials=6"

echo "=== a search"
sbatch $small --set scheduler.max_epochs=3

echo "=== one that is told to stop"
sbatch $small --set scheduler.max_epochs=500 --set scheduler.name=none > /mnt/second.log 2>&1 &
second=$!
until grep -q 'Ctrl-C ends it' /mnt/second.log; do kill -0 $second; sleep 1; done
sleep 15
on 2 "kill -USR1 $(cat /mnt/batch)"
wait $second && status=0 || status=$?
cat /mnt/second.log
echo "=== it ended with $status"
