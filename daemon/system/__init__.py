"""The process and the service manager: signals, deadlines, sockets, notices, memory."""
