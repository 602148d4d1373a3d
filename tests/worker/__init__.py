"""The worker: pipeline, engines, models, monitoring port."""
