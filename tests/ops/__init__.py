"""What an operator uses: doctor, logs, metrics, retention, `make run`."""
