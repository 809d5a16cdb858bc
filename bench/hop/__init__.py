"""One hop: messages from one process to another on the same machine; many transports, one measuring code.

``python -m bench.hop TRANSPORT READING HOW`` measures one pair of processes once and prints the sample.
Each transport is a module here: ``ring``, ``seqpacket``, ``zeromq``, ``iceoryx``, ``queue``; ``port`` says
what it has. Only ``ring`` imports feedmux, so the others run in an environment without it.
"""
