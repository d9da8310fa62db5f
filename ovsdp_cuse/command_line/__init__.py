"""The program `ovsdp-cuse`: arguments -> a call of the daemon or of the client -> text or JSON."""
