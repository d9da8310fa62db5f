"""`python -m bench`: what a transaction, a dump and a million transactions cost.

The hot loops are C programs beside this file; Python starts servers, alternates the rounds, and
prints. The floor is `echo_server.c`, a node of the same kind whose server gives the bytes back.
"""
