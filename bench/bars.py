"""The bars: what each figure must be at least, or at most, on any machine.

No bar but that of `mix_realtime`, which holds on two cores, depends on how fast the machine is. Each other one is a
ratio of two things measured in the same run, an error in dB, or a count of errors.
"""

from __future__ import annotations

AT_LEAST = {
    "demucs_vs_separator": 1.2,
    "demucs_float32_vs_separator": 1.2,
    "demucs_vs_cli_5s": 1.5,
    "roofline_share": 0.1,
    "float32_roofline_share": 0.4,
    "lite_vs_demucs": 3.0,
    "reduced_precision_db": 40.0,
    "stream_vs_apply_db": 100.0,
    "enqueue_vs_pipeline": 0.6,
    "dispatch_vs_pipeline": 0.4,
    "ingest_vs_put": 0.5,
    "ingest_raw_vs_put": 0.6,
    "track_vs_get": 0.5,
    "status_vs_healthz": 0.15,
    "mix_realtime": 40.0,
}
AT_MOST = {
    "encode_share": 0.15,
    "overhead_share": 0.1,
    "rss_growth": 1.1,
    "rss_growth_hour": 1.1,
    "mix_rss_growth": 1.1,
    "marathon_rss_growth": 1.1,
    "marathon_wrong_lengths": 0.0,
    "redis_bytes_done": 410.0,
    "recover_vs_lease": 2.0,
    "admit_100000_vs_10": 1.2,
    "sweep_100000_vs_1000": 2.0,
    "scale_lost": 0.0,
    "scale_doubled": 0.0,
    "rest_peak_vs_sent": 0.75,
    "crowd_cut_off": 0.0,
    "crowd_health_max_s": 1.0,
    "crowd_p99_vs_alone": 3.0,
}


def is_missed(key: str, value: float) -> bool:
    """Say whether `value` misses the bar of the figure `key`; a figure without a bar misses none."""
    return value < AT_LEAST.get(key, value) or value > AT_MOST.get(key, value)


def line(key: str, value: float) -> str:
    """Return a line of the table: the figure, its value, its bar, and whether it misses that."""
    bar = f"at least {AT_LEAST[key]:g}" if key in AT_LEAST else f"at most {AT_MOST[key]:g}" if key in AT_MOST else ""
    return f"{key:32} {value:10.3f}  {bar:14} {'MISSED' if is_missed(key, value) else ''}".rstrip()
