"""Training: objectives, losses, schedule, validation, the run folder."""
