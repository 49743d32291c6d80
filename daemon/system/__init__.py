"""The machine underneath: sockets, notices and signals of the service manager."""
