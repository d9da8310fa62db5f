"""Between wire and switch: the only modules that know a key, a mask or an action as both."""
