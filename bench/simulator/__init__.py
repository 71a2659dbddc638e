"""Simulated libvirt hosts, for figures of the collector at scale. Everything measured with them says "simulated".

    python -m bench.simulator --hosts 1000 --guests 50 --changes 5 --hung 0.1

One process speaks libvirt's RPC (XDR over TCP, without authentication or TLS) as 1,000 libvirtds would: host N listens
on an address of its own, 127.64.0.0 + N, all on one port (16509). Any client may connect: `virsh -c
qemu+tcp://127.64.0.1/system list`. It is told of hosts that never existed, so nothing of it belongs to the product.

What the hosts do
    Each has the same 50 guests by shape: 1, 2 or 4 vCPUs, one or two disks and cards; nine in ten run. The counters of
    running guests move at rates that vary over time, and never go down while the guest runs. On one host in ten the
    CPUs are crowded, so that the collector looks for who takes what guests lose. `--changes` guests a second, anywhere
    in the fleet, are paused and resumed, or stopped and started, with the events of that. There is a pool with a volume
    for each disk, a network, and there are two NUMA cells with 32 CPUs each.

What they do not do
    Nothing can be changed over a connection, and calls that the collector does not make are answered with
    VIR_ERR_NO_SUPPORT. No guest has an agent. QEMU takes no time to answer: real hosts make the collector wait longer,
    but not work more.

Hung hosts
    SIGUSR1 has every host of the `--hung` share fall silent, wherever it was: requests and keepalive stay unanswered,
    new connections are accepted and nothing is said on them. SIGUSR2 has them answer again.

wire        XDR, messages, the numbers of procedures
guests      what a guest is: XML and counters, prepared as bytes
sheets      the counters of all guests of a host in one answer
fleet       hosts with their guests, and what becomes of them
calls       the reply to each procedure
server      connections, keepalive, events

Replies are prepared as far as can be: only counters are computed when they are asked for, all of a host at once, so
that the simulator takes little of the machine that is measured. Sources: libvirt's src/remote/remote_protocol.x,
src/rpc/virnetprotocol.x and src/rpc/virkeepaliveprotocol.x, src/libvirt_internal.h.
"""
