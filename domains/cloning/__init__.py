"""Clones of guests, and templates: guests that are there to be cloned.

A *full* clone has copies of the source's disks. A *linked* one has overlays on them, so only a template can be its
source: nobody writes to a template's disks any more. What a clone will be (name, UUID, MAC addresses, volumes) is
decided before anything is made and stands in the job's parameters; so after any accident it is known what to finish or
to undo. The definition comes last: a guest that is defined is complete.

`plan` says what becomes of each disk, `services` asks for clones, `jobs` and `many` are what workers do, `source` keeps
the source still meanwhile, `making` makes one clone, `templates` marks.
"""
