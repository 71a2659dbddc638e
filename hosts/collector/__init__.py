"""The collector: one process that watches many hosts and writes down what it sees. See docs/architecture.md.

process       what the process is made of; which hosts it watches
leases        which collector watches which host
host          one host: connecting, backing off, saying why not
session       one open connection: what is read, in which order
crowd         how often what can wait is done
lane          the thread that libvirt may block
turns         how many hosts are served at once
waiting       waits and deadlines with hardly any timers
sampling      counters become figures
guest_figures those of one guest
writer        the one thread that writes to the database
publisher     live cache and browsers
inventory     the interface through which guests are handed over
"""
