"""What the commands and the experiments stand on: facts, readers, load, reports, trials."""
