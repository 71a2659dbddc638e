"""Everything that talks to libvirt. No other package imports ``libvirt``, and nothing here knows Django.

Rules
-----
* Calls block and cannot be cancelled: make them from a thread, and ``probe`` a host before opening it.
* A ``HostConnection`` is used by one thread at a time, ``close()`` included: libvirt frees the connection there, so
  closing it under a call in flight crashes the process. A call stuck on a dead daemon returns by itself
  (``ConnectionLost``) once keepalive gives up; until then the connection belongs to its thread.
* Everything raises ``VirtError`` subclasses, never ``libvirt.libvirtError``: a ``HostError`` concerns the whole
  connection, a ``CallError`` one call.
* UUIDs are lower-case strings with dashes. Units stand in names. What is handed out are frozen dataclasses; enum values
  and ``VirtError.code`` are stable strings, fit for the database and for JSON.

Modules
-------
Without libvirt, for every process:

* ``errors``: what can go wrong with a host or a call. ``states``: guest states and their reasons, in words.
* ``uri``: ``Endpoint``, where a daemon is. ``credentials``: what opens it, and the files libvirt wants it as.
* ``identity``: certificates and SSH host keys, as people compare them.
* ``probe``: ``await probe(endpoint, credentials, runtime_dir=…)``, before every open.
* ``rates``: rates out of two readings of counters. ``xml``: safe parsing; ``xml.domain``: ``DomainDefinition``;
  ``xml.volume``: ``VolumeDefinition``, ``VolumeSpec``; ``xml.snapshot``: ``SnapshotDefinition``, ``SnapshotSpec``;
  ``xml.disks``: the same definition with other files for its disks.

With libvirt, for the collector, the workers and the console gateway:

* ``eventloop``: ``use_asyncio(loop)`` or ``start_thread()``, once per process, after the fork, before the first open.
* ``connection``: ``HostConnection.open(…)``, and from it ``Guest`` (``guest``), ``Node`` (``node``), ``Pool``
  (``pool``), ``Volume`` (``volume``), ``Network`` (``network``). ``inventory``: the facts of all guests in few calls.
* ``snapshot``: ``snapshots(guest)``, ``create(guest, spec, …)``. ``blockjob``: commit and pull of a running guest.
* ``events``: ``subscribe(connection, handler)``. ``stats``: ``fast(connection)``, ``slow(connection, guests)``.
* ``transfer``: the content of volumes as streams. ``console``: ``serve_serial(guest, socket)``.
* ``translation``: libvirtError becomes ours.
"""
