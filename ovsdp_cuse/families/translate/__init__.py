"""Between the wire and the switch: the only modules that know a key, a mask or an action as both."""
