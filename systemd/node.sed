# Makes the template units of a node, recado@.service and recado@.socket, of recado.service and
# recado.socket. The instance is the node's name: `systemctl enable --now recado@a.socket`.
s/^Description=Recado, .*/Description=Recado's node %i, which shares numbers with other nodes/
s/^Description=HTTP socket of Recado/&'s node %i/
s/while recado\.service/while recado@NAME.service/
s/recado\.socket/recado@%i.socket/
s/`systemctl edit recado\.service`/`systemctl edit recado@NAME.service`/
s/`systemctl edit recado@%i\.socket`/`systemctl edit recado@NAME.socket`/
# Quicker than the lease and a call of the gateway together (15 s each): see docs/cluster.md.
s/^WatchdogSec=.*/WatchdogSec=20s/
s/^StateDirectory=recado$/StateDirectory=recado-%i/
s|^NoExecPaths=.*|NoExecPaths=/ -/var/lib/private/recado-%i|
s/^Environment=RECADO_ENVIRONMENT=.*/&\nEnvironment=RECADO_NODE__NAME=%i/
