"""Parts of an ejected program: schedules."""
