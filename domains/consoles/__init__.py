"""Consoles of guests: the screen (VNC) and the serial line, in a browser.

    browser ──POST──► web: a Job ──► worker: fresh VNC password, where does it listen?
       │                                 └── an `Opening` in Redis, for the one who asked
       ├──GET───► web: takes the opening, makes a `Ticket` for this person, session and guest
       └──WebSocket with the ticket──► console gateway ──VNC or serial──► guest

`tickets` holds what lies in Redis, `opening` the worker's part, `gateway/` the process that carries
the bytes. The serial line needs no worker: its ticket is made at once.
"""
