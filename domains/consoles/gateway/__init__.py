"""The console gateway: a process that turns tickets into consoles (`manage.py console_gateway`).

It is websockify with a handler of ours. A token plugin of websockify sees only the token; this
handler also sees the origin, the cookie and the path, and can say why it ended a session. For each
connection websockify forks a process, so a host that hangs holds up nobody else's console:
see docs/adr/0005-consoles-in-a-process-each.md.

`server` the listening process and the WebSocket's life; `admission` who may come in and stay;
`targets` the way to the console; `relay` carrying bytes.
"""
