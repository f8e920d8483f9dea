# Sourced by the try_*.sh beside it: begins the script anew in namespaces of its own and starts emulated machines there.
# Each has an address, processes, /tmp, /dev/shm, home and sshd of its own; the installed programs and /mnt are shared,
# /mnt/shared in the part of a network folder. Nothing outside is seen or changed, and all of it ends with the script.
# shellcheck shell=bash

[ "$(id -u)" = 0 ] || { echo "$0: only root may make namespaces" >&2; exit 2; }
for tool in unshare ip sshd rsync; do
    PATH=$PATH:/usr/sbin command -v "$tool" > /dev/null || {
        echo "$0: $tool is missing: apt-get install iproute2 openssh-server rsync util-linux" >&2
        exit 2
    }
done
project=$PWD
case $project in
    /tmp/* | /mnt/* | /run/*) echo "$0: the project lies where the machines' own folders come" >&2; exit 2 ;;
esac
if [ -z "${EMULATED_MACHINES:-}" ]; then
    EMULATED_MACHINES=1 exec unshare --net --pid --ipc --mount --fork --kill-child --mount-proc "$0" "$@"
fi

trap 'exit 130' INT TERM  # as the first process of its namespace it would ignore them; its end ends all others
mount --make-rprivate /
for folder in /tmp /run /mnt /dev/shm; do mount -t tmpfs tmpfs "$folder"; done
mkdir -p /tmp/home /mnt/shared
export HOME=/tmp/home
unset RAY_ADDRESS RAY_AUTH_TOKEN RAY_AUTH_TOKEN_PATH MLFLOW_TRACKING_URI

network=10.77.0
ssh_key=/mnt/key
ssh-keygen -q -t ed25519 -N '' -f "$ssh_key"
ssh-keygen -q -t ed25519 -N '' -f /mnt/host_key
ip link set lo up
ip link add lan type bridge
ip address add $network.1/24 dev lan
ip link set lan up

# machine NAME NUMBER: starts one, with the address $network.NUMBER.
machine() {
    ip netns add "$1"
    ip link add "to-$1" type veth peer name eth0 netns "$1"
    ip link set "to-$1" master lan up
    ip -n "$1" address add "$network.$2/24" dev eth0
    ip -n "$1" link set lo up
    ip -n "$1" link set eth0 up
    ip -n "$1" route add default via $network.1  # Ray asks for it to learn its own address; it leads nowhere
    ip netns exec "$1" unshare --pid --ipc --uts --mount --fork --kill-child --mount-proc bash -s "$1" << 'END' &
set -euo pipefail
hostname "$1"
for folder in /tmp /run /dev/shm; do mount -t tmpfs tmpfs "$folder"; done
mkdir -p /run/sshd /tmp/home
sed 's#^\(root:.*\):[^:]*:[^:]*$#\1:/tmp/home:/bin/bash#' /etc/passwd > /tmp/passwd
mount --bind /tmp/passwd /etc/passwd
exec /usr/sbin/sshd -D -e -f /dev/null -h /mnt/host_key -o PidFile=none -o StrictModes=no -o UsePAM=no \
    -o PermitRootLogin=prohibit-password -o AuthorizedKeysFile=/mnt/key.pub 2> "/mnt/sshd-$1.log"
END
}

# on NUMBER COMMAND: runs a shell command on a machine.
on() {
    ssh -q -i "$ssh_key" -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
        "root@$network.$1" "$2"
}

# reachable NUMBER...: waits for their sshd.
reachable() {
    local number
    for number in "$@"; do
        for _ in $(seq 50); do on "$number" true 2> /dev/null && continue 2; sleep 0.2; done
        echo "no ssh to $network.$number" >&2
        cat /mnt/sshd-*.log >&2
        exit 1
    done
}
