"""For each metric: the question that it answers, and a query that answers it. METRICS.md shows them."""

from __future__ import annotations

P = "huaweicloud_workspace_"

QUESTIONS: dict[str, tuple[str, str]] = {
    "sessions": ("How many sessions are active?", 'sum by (project) (§sessions{session_state="Active"})'),
    "sessions_by_version": (
        "Who still uses an old client version?",
        "sum by (client_version) (§sessions_by_version)",
    ),
    "sessions_by_client": (
        "How many people use applications, and how many desktops?",
        "sum by (session_type) (§sessions_by_client)",
    ),
    "sessions_by_age": (
        "Which sessions hang while they start?",
        'sum by (project) (§sessions_by_age{session_state="AppcInit", age!~"0-5m|unknown"})',
    ),
    "session_starts_total": (
        "How many sessions start per minute?",
        "60 * sum by (project) (rate(§session_starts_total[5m]))",
    ),
    "session_starts_by_client_version_total": (
        "Which client versions start sessions?",
        "sum by (client_version) (rate(§session_starts_by_client_version_total[1h]))",
    ),
    "session_starts_by_server_group_total": (
        "Which server groups start sessions?",
        "sum by (app_server_group_id) (rate(§session_starts_by_server_group_total[1h]))",
    ),
    "session_init_failures_total": (
        "Which share of the session starts fails?",
        (
            "sum by (project) (rate(§session_init_failures_total[5m]))"
            " / sum by (project) (rate(§session_starts_total[5m]))"
        ),
    ),
    "session_init_failures_by_code_total": (
        "Why do session starts fail?",
        "topk(3, sum by (failed_code) (increase(§session_init_failures_by_code_total[5m])))",
    ),
    "session_init_failures_by_server_group_total": (
        "Where do session starts fail?",
        "topk(3, sum by (app_server_group_id) (increase(§session_init_failures_by_server_group_total[5m])))",
    ),
    "session_init_failures_by_client_version_total": (
        "Does a new client version fail more often?",
        (
            "sum by (client_version) (increase(§session_init_failures_by_client_version_total[1h]))"
            " / sum by (client_version) (increase(§session_starts_by_client_version_total[1h]))"
        ),
    ),
    "session_init_failures_by_user_total": (
        "Who cannot start work?",
        "sum by (user_name) (increase(§session_init_failures_by_user_total[1h])) > 0",
    ),
    "session_init_duration_seconds": (
        "How long does it take to start a session?",
        "histogram_quantile(0.9, sum by (le) (rate(§session_init_duration_seconds_bucket[30m])))",
    ),
    "session_disconnects_total": ("Do many people lose their connection?", "rate(§session_disconnects_total[15m])"),
    "session_reconnects_total": ("Do they come back?", "rate(§session_reconnects_total[15m])"),
    "app_server_group_info": (
        "What is the name of a server group?",
        (
            "sum by (project, app_server_group_id) (rate(§session_init_failures_by_server_group_total[5m]))"
            " * on (project, app_server_group_id) group_left (app_server_group_name) §app_server_group_info"
        ),
    ),
    "app_servers": (
        "Which server groups have no registered server?",
        '§app_servers{status="REGISTERED"} == 0',
    ),
    "app_server_sessions": ("How many sessions do the servers have?", "sum by (project) (§app_server_sessions)"),
    "app_server_session_capacity": (
        "Which server groups are almost full?",
        "§app_server_sessions / §app_server_session_capacity > 0.85",
    ),
    "users": ("How many users are watched?", "sum by (project) (§users)"),
    "users_discovered": ("How many of them were discovered?", "§users_discovered / §users"),
    "users_discovery_successful": ("Does discovery work?", "§users_discovery_successful == 0"),
    "users_locked": ("How many accounts are locked?", "sum by (project) (§users_locked)"),
    "account_locks_total": ("Are many accounts being locked?", "increase(§account_locks_total[1h])"),
    "users_expired": ("How many accounts have expired?", "sum by (project) (§users_expired)"),
    "users_disabled": ("How many accounts are disabled?", "sum by (project) (§users_disabled)"),
    "users_password_change_due": ("Who must change the password?", "§users_password_change_due"),
    "users_password_never_expires": ("Do passwords violate the policy?", "§users_password_never_expires > 0"),
    "users_without_desktop": ("Do accounts cost money without use?", "§users_without_desktop"),
    "users_missing": ("Is the list of users out of date?", "§users_missing > 0"),
    "user_missing": ("Which configured users do not exist?", "§user_missing == 1"),
    "user_locked": ("Whose account is locked?", "§user_locked == 1"),
    "user_expired": ("Whose account has expired?", "§user_expired == 1"),
    "user_disabled": ("Whose account is disabled?", "§user_disabled == 1"),
    "user_account_expires_timestamp_seconds": (
        "Whose account expires within two weeks?",
        "0 < §user_account_expires_timestamp_seconds - time() < 14 * 86400",
    ),
    "user_sessions": ("What happens to the sessions of one user?", '§user_sessions{user_name="user001"}'),
    "user_client_info": ("Which client does one user have?", '§user_client_info{user_name="user001"}'),
    "label_values_cut_total": ("Does the cloud send oversized texts?", "increase(§label_values_cut_total[1d]) > 0"),
    "clock_skew_seconds": ("Is the clock wrong?", "abs(§clock_skew_seconds) > 60"),
    "up": ("Does the cloud answer?", "§up == 0"),
    "poll_source_info": ("Is a project polled in bulk?", '§poll_source_info{source="bulk"}'),
    "poll_coverage_ratio": ("Are the numbers complete?", "§poll_coverage_ratio < 0.9"),
    "poll_last_success_timestamp_seconds": (
        "Since when does no cycle complete without failures?",
        "time() - §poll_last_success_timestamp_seconds",
    ),
    "poll_duration_seconds": ("How long does a polling cycle take?", "§poll_duration_seconds"),
    "poll_interval_seconds": (
        "How old can a number be?",
        'max by (project) (§poll_interval_seconds{operation="ListSessionByUserName"})',
    ),
    "poll_rate_limit": (
        "How much of the rate limit is used?",
        (
            "60 * sum by (project, operation) (rate(§api_requests_total[5m]))"
            " / on (project) group_left () max by (project) (§poll_rate_limit)"
        ),
    ),
    "api_requests_total": (
        "Which requests fail, and how?",
        'sum by (operation, code) (rate(§api_requests_total{code!~"2.."}[5m])) > 0',
    ),
    "api_request_duration_seconds": (
        "How slow is the cloud?",
        "histogram_quantile(0.99, sum by (operation, le) (rate(§api_request_duration_seconds_bucket[5m])))",
    ),
    "credentials_expiry_timestamp_seconds": (
        "Are credentials about to expire?",
        "§credentials_expiry_timestamp_seconds - time() < 1200",
    ),
    "label_values_folded": ("Are values missing in a label?", "§label_values_folded > 0"),
    "exporter_build_info": (
        "Which versions run?",
        "count by (version, revision) (§exporter_build_info)",
    ),
    "exporter_config_last_reload_successful": (
        "Was the last reload rejected?",
        "§exporter_config_last_reload_successful == 0",
    ),
    "exporter_config_last_reload_success_timestamp_seconds": (
        "Since when is the configuration in effect?",
        "time() - §exporter_config_last_reload_success_timestamp_seconds",
    ),
    "exporter_log_lines_dropped_total": ("Are log lines lost?", "increase(§exporter_log_lines_dropped_total[1h]) > 0"),
}
"""`§` in a query is the prefix of all metrics."""


def query(name: str) -> str:
    """Return the query that answers the question of a metric. Raise KeyError if there is none."""
    return QUESTIONS[name][1].replace("§", P)
