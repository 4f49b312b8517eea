"""The commands of ``latref``, one module each: ``add_to(commands)`` and ``run(args)``."""
