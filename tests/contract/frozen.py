"""The expected values of the tests beside this file, as literals, apart from those of the client and the manifests."""

from __future__ import annotations

# Songs and options. Fields of a request as JSON, and the songhash of b"a song of fixed bytes" with them.
SONGHASHES = {
    "{}": "38a43741e76cd20085a89a5de411a5a0837816de9a146a910e24c3fe",
    '{"model": "htdemucs"}': "c8a15d02aa7b41db6215114fc7e4979658090b5d20d3de822d5a4de3",
    '{"stems": ["vocals"]}': "b4c3dd7d9e034fbede6e256e1de60f6e2050e2fb1347a4c7d0184de0",
    '{"stems": "bass,drums"}': "b7f4f1719fc5523abf739c3f98b9c532e90cf4ec3752cc09fa8f9386",
    '{"stems": ["other", "bass", "drums", "vocals"]}': "38a43741e76cd20085a89a5de411a5a0837816de9a146a910e24c3fe",
    '{"two_stems": "vocals"}': "43b06ba9bc7943d854c4ecccff4db03b44f7b4f27e3d10d83a83ba18",
    '{"format": "wav"}': "de36ca131f241c8e7891251e6a3bfc126a536d8b61e747ee7f8f06ef",
    '{"format": "flac"}': "7514ad233f3dfe6c431aaba27df32b4c68b295a64cf3a25afd0721c2",
    '{"mp3_bitrate": 192}': "e72f81dc6704d9fe3c73d7a320d7135c2b7f04e4dbf54210ed5ac54d",
    '{"format": "wav", "bit_depth": 24}': "63a0ca923a139ec337edd89d2d55681df200d6763111c41b520c787c",
    '{"format": "wav", "bit_depth": 32}': "8a6bed486863bdf57260923d5407dcb482cb22c62dceafe527514322",
    '{"format": "flac", "bit_depth": "24"}': "4a492a473efb942e12bba24b08995243bab4b986b10e0330fb6b7610",
    '{"overlap": 0.5}': "a114510f7e755bed53b6c0168e9e2c6fb0db49cb74a05a9acd8069b7",
    '{"overlap": "0.10"}': "6abd67f0b8827ab2273f018c42ea69b0915dda0b3bef8e1266ec76e5",
    '{"shifts": 2}': "38ee4bcfe2a9551d34d469b788d21ca4e1c59093fa275f4ce130705a",
    '{"residual": true}': "040efd20e00a92ac95d71be6b325eb5c6268de8a11f75da622012441",
    '{"model": "htdemucs_6s", "stems": "guitar", "format": "flac", "bit_depth": 24, "overlap": 0.1, "shifts": 1}': (
        "daee218a036191d4cf4ef39e04e12e2f20d15e1c1ec303d807130e52"
    ),
}
POSTED_SONGHASH = "547233f53a635bcb0fab28fa254ffc16318c59c605ed8950e8040f3e"
OPTION_DEFAULTS = {
    "model": "lite",
    "stems": (),
    "two_stems": "",
    "format": "mp3",
    "mp3_bitrate": 320,
    "bit_depth": 16,
    "overlap": 0.25,
    "shifts": 0,
    "residual": False,
}
REQUEST_FIELDS = {
    "mp3": "",
    "callback": "",
    "model": "",
    "name": "",
    "stems": "",
    "two_stems": "",
    "format": "None mp3 wav flac",
    "mp3_bitrate": "None 64 80 96 112 128 160 192 224 256 320 64 80 96 112 128 160 192 224 256 320",
    "bit_depth": "None 16 24 32 16 24 32",
    "overlap": "",
    "shifts": "None 0 1 2 3 4 5 6 7 8 9 10 0 1 2 3 4 5 6 7 8 9 10",
    "residual": "None True False true false 1 0",
}
MODELS = {
    "lite": "vocals drums bass other",
    "htdemucs": "vocals drums bass other",
    "htdemucs_ft": "vocals drums bass other",
    "htdemucs_6s": "vocals drums bass other guitar piano",
    "hdemucs_mmi": "vocals drums bass other",
    "mdx_extra": "vocals drums bass other",
    "mdx_extra_q": "vocals drums bass other",
    "melband_roformer_kim": "vocals other",
    "bs_roformer_anvuew": "vocals other",
    "bs_roformer_sw": "vocals drums bass other guitar piano",
    "scnet_small": "vocals drums bass other",
    "scnet_xl_wide_v5": "vocals drums bass other",
}

# Messages and Redis. `Q` is the queue's name, MS a time in ms, ID the id of a callback.
MESSAGES = [
    b'{"hash":"11111111111111111111111111111111111111111111111111111111","name":"song.mp3"}',
    b'{"hash":"22222222222222222222222222222222222222222222222222222222","name":"s\\u00f6ng.mp3",'
    b'"options":{"model":"htdemucs","shifts":1,"stems":["vocals","bass"]}}',
    b'{"hash":"33333333333333333333333333333333333333333333333333333333","name":"song.mp3",'
    b'"options":{"model":"lite"},"callback":{"url":"http://hook.test/","data":null}}',
    b'{"hash":"44444444444444444444444444444444444444444444444444444444","name":"song.mp3",'
    b'"options":{"format":"flac","model":"lite"},"callback":{"url":"http://hook.test/","data":{"number":1}},'
    b'"seconds":1.5,"owner":"alice","request_id":"request-1"}',
]
FIRST_MESSAGES = [
    b'{"hash": "11111111111111111111111111111111111111111111111111111111", "data": "c29uZw=="}',
    b'{"data": "c29uZw==", "hash": "11111111111111111111111111111111111111111111111111111111", "model": "htdemucs"}',
]
# The same jobs as their messages wait on the list: without the callback, which is in the job's hash.
QUEUED_MESSAGES = [
    *MESSAGES[:2],
    b'{"hash":"33333333333333333333333333333333333333333333333333333333","name":"song.mp3","options":{"model":"lite"}}',
    b'{"hash":"44444444444444444444444444444444444444444444444444444444","name":"song.mp3",'
    b'"options":{"format":"flac","model":"lite"},"seconds":1.5,"owner":"alice","request_id":"request-1"}',
]
REDIS_KEYS = {
    "Q": "list",
    "{Q}:callback_bytes": "hash",
    "{Q}:callback_hosts": "list",
    "{Q}:callbacks": "zset",
    "{Q}:callbacks:HOST": "zset",
    "{Q}:claims": "hash",
    "{Q}:compared": "hash",
    "{Q}:costs": "hash",
    "{Q}:counters": "hash",
    "{Q}:dead": "list",
    "{Q}:delayed": "zset",
    "{Q}:ended": "zset",
    "{Q}:job:SONGHASH": "hash",
    "{Q}:jobs": "hash",
    "{Q}:leader": "string",
    "{Q}:line:OWNER": "zset",
    "{Q}:loads": "hash",
    "{Q}:offer": "string",
    "{Q}:offers": "hash",
    "{Q}:parked": "zset",
    "{Q}:parked:NAME": "zset",
    "{Q}:received": "zset",
    "{Q}:removed": "zset",
    "{Q}:ring": "zset",
    "{Q}:run:WORKER": "list",
    "{Q}:speeds": "hash",
    "{Q}:strays": "hash",
    "{Q}:tick": "string",
    "{Q}:workers": "zset",
}
RATE_LIMIT_KEYS = {"LIMITS:LIMITER/Q:limits/alice/jobs.queue/600/1/minute": "string"}
CALLBACK_ID = "1c1ce9eb5379b9a8"
WEBHOOK_ID = "msg_22c2625a45e4925844930bd6d792fc75"
JOB_FIELDS = {
    "queued": (
        "callback:ID callbacks charged enqueued_at message model name options owner owner:ID owners seconds status"
    ),
    "running": (
        "attempt callback:ID callbacks charged enqueued_at message model name options owner owner:ID owners "
        "progress seconds stage started_at status token worker"
    ),
    "succeeded": ("attempt callback:ID callbacks ended_at enqueued_at owner:ID owners settled started_at status"),
    "callback in delivery": (
        "attempt callback:ID callbacks ended_at enqueued_at held:ID owner:ID owners settled started_at status"
    ),
    "callback over, stem removed": (
        "attempt callbacks delivery:ID ended_at enqueued_at owners pruned settled started_at status"
    ),
    "failed": (
        "attempt callback:ID callbacks ended_at enqueued_at error model name options owner owner:ID owners "
        "progress seconds settled started_at status"
    ),
    "waiting for a server": (
        "attempt callback:ID callbacks charged enqueued_at error message model name options owner owner:ID owners "
        "seconds settled status waits"
    ),
    "cancelled while running": (
        "attempt callback:ID callbacks ended_at enqueued_at model name options owner owner:ID owners progress "
        "remover removing seconds stage started_at status token worker"
    ),
}
LESS_COMMON_JOB_FIELDS = {
    "handed back": (
        "attempt callback:ID callbacks charged enqueued_at message model name options owner owner:ID owners "
        "seconds settled status"
    ),
    "cancelled while queued": (
        "attempt callback:ID callbacks ended_at enqueued_at model name options owner owner:ID owners remover "
        "removing seconds settled status"
    ),
    "waiting for its next attempt": (
        "attempt avoid callback:ID callbacks charged enqueued_at error message model name options owner owner:ID "
        "owners seconds settled status"
    ),
    "published from the store": (
        "attempt callback:ID callbacks ended_at enqueued_at owner:ID owners pruned settled status"
    ),
}
JOB_VALUES = {
    "status": "succeeded",
    "message": (
        '{"hash":"00000000000000000000000000000000000000000000000000000001","name":"song.mp3",'
        '"options":{"format":"flac","model":"lite"},"seconds":1.5,"owner":"alice","request_id":"request-1"}'
    ),
    "name": "song.mp3",
    "model": "lite",
    "options": (
        '{"model": "lite", "stems": [], "two_stems": "", "format": "flac", "mp3_bitrate": 320, "bit_depth": 16, '
        '"overlap": 0.25, "shifts": 0, "residual": false}'
    ),
    "seconds": "1.5",
    "owner": "alice",
    "enqueued_at": "MS",
    "started_at": "MS",
    "ended_at": "MS",
    "attempt": "1",
    "charged": "0.033",
    "owners": "alice",
    "settled": "TOKEN",
    "callbacks": "ID",
    "owner:ID": "alice",
    "callback:ID": '{"url":"http://hook.test/","data":{"number":1}}',
    "delivery:ID": (
        '{"state": "waiting", "attempts": 1, "http_status": null, "error": null, "next_at": MS, "delivered_at": null}'
    ),
}
DELIVERY_STATES = "waiting delivered given_up refused"
DEAD_LETTERS = ["at hash reason", "at bytes message reason"]

# The store. In both buckets, by what a key adds to the songhash: the content type.
OBJECTS = {
    "in": {"": "application/octet-stream", ".json": "application/json"},
    "out": {
        "-vocals.mp3": "audio/mpeg",
        "-vocals.wav": "audio/wav",
        "-vocals.flac": "audio/flac",
        "-peaks.json": "application/json",
        "-report.json": "application/json",
    },
}
SEPARATED_OBJECTS = {
    "-vocals.mp3": "audio/mpeg",
    "-drums.mp3": "audio/mpeg",
    "-bass.mp3": "audio/mpeg",
    "-other.mp3": "audio/mpeg",
    "-mixture.mp3": "audio/mpeg",
    "-peaks.json": "application/json",
    "-report.json": "application/json",
}

# REST.
ROUTES = {
    "/": "GET HEAD",
    "/healthz": "GET HEAD",
    "/readyz": "GET HEAD",
    "/metrics": "GET HEAD",
    "/docs": "GET HEAD",
    "/docs/start.js": "GET HEAD",
    "/docs/<any(css,js):folder>/<name>": "GET HEAD",
    "/page/<digest>/<path:name>": "GET HEAD",
    "/apiv1/openapi.json": "GET HEAD",
    "/apiv1/models": "GET HEAD",
    "/apiv1/separate": "POST",
    "/apiv1/retry/<songhash>": "POST",
    "/apiv1/queue": "GET HEAD",
    "/apiv1/status": "POST",
    "/apiv1/status/<songhash>": "GET HEAD",
    "/apiv1/track/<songhash>/<track>": "GET HEAD",
    "/apiv1/peaks/<songhash>": "GET HEAD",
    "/apiv1/archive/<archive>": "GET HEAD",
    "/apiv1/mix/<mix>": "GET HEAD",
    "/apiv1/links": "POST",
    "/apiv1/remove/<songhash>": "DELETE",
    "/apiv1/remove/<songhash>/<track>": "DELETE GET HEAD",
}
# Paths as existing clients write them, and the content type of the answer.
CALLS = {
    "/": "text/plain; charset=utf-8",
    "/readyz": "application/json",
    "/apiv1/queue/": "application/json",
    "/apiv1/models/": "application/json",
    "/apiv1/status/SONGHASH/": "application/json",
    "/apiv1/track/SONGHASH/vocals": "audio/mpeg",
    "/apiv1/track/SONGHASH/vocals.mp3": "audio/mpeg",
    "/apiv1/track/SONGHASH/base.mp3": "audio/mpeg",
    "/apiv1/track/SONGHASH/mixture.mp3": "audio/mpeg",
    "/apiv1/peaks/SONGHASH": "application/json",
    "/apiv1/archive/SONGHASH.zip": "application/zip",
}
ANSWERS = {
    "Taken": "hash model reason status",
    "Line": "queue running waiting_retry",
    "StatusAnswer": (
        "attempt callback ended_at enqueued_at error eta_seconds hash key key_confidence loading mixture model name "
        "options progress queue_position report seconds stage started_at status tempo_bpm tempo_confidence tracks"
    ),
    "StatusesAnswer": "songs unknown",
    "State": "queued running succeeded failed cancelled",
    "Stage": "loading model fetching decoding separating encoding storing",
    "TrackAnswer": "bytes name seconds url",
    "Failure": "code message",
    "PeaksAnswer": "hash per_peak rate samples slice tracks",
    "TrackPeaks": "peaks starts",
    "Removed": "hash reason track",
    "LinksAnswer": "links",
    "ModelsAnswer": "default max_upload_mb models room",
    "ModelAnswer": "about cached licence name origin quality seconds_per_minute size_mb stems",
    "Health": "loading status",
    "LoadingAnswer": "bytes model total_bytes",
    "ProblemAnswer": "code detail status title",
}
OPEN_PARTS = {
    "report": (
        "device encoding_cpu_seconds hash mixture model name options peak_rss_mb precision real_time_factor seconds "
        "song stems sum_db weights"
    ),
    "stem": "bytes clipped_samples crc32 peak seconds sha256",
    "callback": "attempts delivered_at error http_status next_at state webhook_id",
}
PROBLEMS = {
    400: "bad_base64 bad_request missing_song not_json",
    401: "unauthorized",
    403: "cross_site",
    404: "not_found song_missing unknown_song unknown_stem",
    409: "conflict not_failed not_ready shared_song",
    413: "too_large",
    415: "not_audio unknown_body",
    416: "bad_range",
    421: "unknown_host",
    422: "bad_option empty_song no_audio_stream too_costly too_large_output too_long too_short",
    429: "too_many",
    500: "internal_error store_refused",
    503: "being_removed model_unavailable no_worker queue_full queue_unavailable store_full store_unavailable too_busy "
    "unavailable",
}
RETRY_AFTER_SECONDS = {
    2: "being_removed no_worker queue_unavailable store_unavailable unavailable",
    5: "too_busy",
    30: "queue_full",
    60: "store_full",
}
REFUSED_CALLS = {"GET /nothing": (404, 404, "not_found"), "POST /apiv1/queue": (405, 405, "method_not_allowed")}
# Errors that Flask finds: the code by the HTTP status.
FLASK_ERRORS = {
    400: "bad_request",
    403: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    406: "bad_request",
    408: "bad_request",
    411: "bad_request",
    413: "bad_request",
    414: "bad_request",
    415: "bad_request",
    416: "bad_request",
    417: "bad_request",
    422: "bad_request",
    429: "bad_request",
    431: "bad_request",
}
# The headers of a callback in lower case, and its body.
CALLBACK_REQUEST = (
    "accept-encoding connection content-length content-type host user-agent webhook-id webhook-signature "
    "webhook-timestamp",
    "[1]",
)

# Settings: the default and another value, as text.
SETTINGS = {
    "REDIS_HOST": ("localhost", "redis"),
    "REDIS_PORT": ("6379", "6380"),
    "REDIS_URL": ("", "rediss://alice:secret@redis:6390/1"),
    "MINIO_HOST": ("localhost:9000", "minio:9000"),
    "MINIO_SECURE": ("false", "true"),
    "MINIO_ACCESS_KEY": ("rootuser", "user"),
    "MINIO_SECRET_KEY": ("rootpass123", "pass"),
    "WORK_QUEUE": ("toWorker", "jobs"),
    "LOG_LIST": ("logging", "lines"),
    "BUCKET_IN": ("queue", "songs"),
    "BUCKET_OUT": ("output", "stems"),
    "MODEL_NAME": ("auto", "htdemucs"),
    "MODEL_REPO": ("", "/models"),
    "MODELS_ALLOWED": ("", "lite,htdemucs"),
    "CACHE_DIR": ("~/.cache/msas", "/cache"),
    "DEVICE": ("auto", "cuda"),
    "PRECISION": ("auto", "float32"),
    "MAX_UPLOAD_MB": ("200", "201"),
    "MAX_DURATION_MINUTES": ("180.0", "181.0"),
    "MAX_COST_MINUTES": ("1000.0", "1001.0"),
    "MAX_OUTPUT_MB": ("10000.0", "10001.0"),
    "MAX_QUEUE": ("1000", "1001"),
    "MAX_QUEUE_PER_KEY": ("100", "101"),
    "MAX_COST_MINUTES_PER_KEY": ("4000.0", "4001.0"),
    "ADMIN_KEYS": ("", "alice"),
    "API_KEYS": ("", "alice:2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"),
    "RATE_LIMIT": ("600/minute", "601/minute"),
    "TRUSTED_HOSTS": ("", "music.test,.studio.test"),
    "CALLBACK_ALLOW_HOSTS": ("", "hook.test,10.0.0.0/8"),
    "CALLBACK_SECRET": ("", "whsec_bm9ib2R5IGtub3dzIHRoaXMgc2VjcmV0"),
    "REST_HOST": ("127.0.0.1", "0.0.0.0"),
    "REST_PORT": ("5000", "5001"),
    "REST_CONNECTIONS": ("3000", "3001"),
    "SPOOL_MB": ("3500", "3501"),
    "METRICS_PORT": ("0", "9100"),
    "LEASE_SECONDS": ("30.0", "31.0"),
    "BEAT_SECONDS": ("5.0", "6.0"),
    "BLOCK_SECONDS": ("5.0", "6.0"),
    "RETRY_SECONDS": ("5.0", "6.0"),
    "DRAIN_SECONDS": ("25.0", "26.0"),
    "STALL_SECONDS": ("600.0", "601.0"),
    "RECONCILE_SECONDS": ("60.0", "61.0"),
    "COMPARE_SECONDS": ("86400.0", "86401.0"),
    "KEEP_DAYS": ("7.0", "8.0"),
    "MAX_STORE_GB": ("0.0", "1.0"),
}
REST_METRICS = {
    "msas_http_requests_total": "counter method route status",
    "msas_http_request_seconds_bucket": "histogram le method route",
    "msas_http_request_seconds_count": "histogram method route",
    "msas_http_request_seconds_sum": "histogram method route",
    "msas_received_bytes_total": "counter",
    "msas_redis_up": "gauge",
    "msas_jobs_waiting": "gauge",
    "msas_jobs_running": "gauge",
    "msas_jobs_delayed": "gauge",
    "msas_workers": "gauge",
    "msas_queue_oldest_seconds": "gauge",
    "msas_jobs_unoffered": "gauge",
    "msas_store_bytes": "gauge",
    "msas_store_max_bytes": "gauge",
}
WORKER_METRICS = {
    "msas_jobs_total": "counter result",
    "msas_job_stage_seconds_bucket": "histogram le stage",
    "msas_job_stage_seconds_count": "histogram stage",
    "msas_job_stage_seconds_sum": "histogram stage",
    "msas_real_time_factor_bucket": "histogram device le model",
    "msas_real_time_factor_count": "histogram device model",
    "msas_real_time_factor_sum": "histogram device model",
    "msas_job_attempts_bucket": "histogram le",
    "msas_job_attempts_count": "histogram",
    "msas_job_attempts_sum": "histogram",
    "msas_leases_lost_total": "counter",
    "msas_model_load_seconds_count": "summary model",
    "msas_model_load_seconds_sum": "summary model",
    "msas_worker_busy": "gauge",
    "msas_peak_rss_bytes": "gauge",
}
JOB_RESULTS = "cancelled failed handed_back lost put_off succeeded to_be_tried_again unsettled"

# The client's objects: the public attributes of each instance.
CLIENT_ATTRIBUTES = {
    "Client": "url",
    "Job": "client songhash",
    "MsasError": "",
    "NotReachable": "",
    "Refused": "code retry_after status",
    "Failed": "code",
}
