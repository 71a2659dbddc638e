#!/bin/sh
# libvirt's SSH client (URI parameter "command"). It is called through a link that lies beside the host's ssh_config.
exec ssh -F "$(dirname "$0")/ssh_config" "$@"
