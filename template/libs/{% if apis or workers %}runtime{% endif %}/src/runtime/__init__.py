"""What every service of this project runs on: settings, logs, metrics, health, database, queue."""
