"""The Faust apps: the folder, the learner, their transports, timers and dead letters."""
