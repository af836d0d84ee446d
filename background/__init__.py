"""What runs beside a process's main work: tasks that are kept alive, and loops that end when they are told to."""
