/* What a worker counts. One table, from which the enum and the rows come. */
#ifndef HOLDFAST_WORKER_METRICS_H
#define HOLDFAST_WORKER_METRICS_H

#include "shared/metrics.h"
#include "shared/store_metrics.h"

/* X(ENUM, name, label or NULL, help, kind) */
#define WORKER_METRICS(X)                                                                          \
    X(HANDSHAKES_OK, "holdfast_handshakes_total", "result=\"ok\"", "DTLS handshakes by result",    \
      METRIC_COUNTER)                                                                              \
    X(HANDSHAKES_FAILED, "holdfast_handshakes_total", "result=\"failed\"", NULL, METRIC_COUNTER)   \
    X(HANDSHAKES_TIMED_OUT, "holdfast_handshakes_total", "result=\"timeout\"", NULL,               \
      METRIC_COUNTER)                                                                              \
    X(HANDSHAKES_REFUSED, "holdfast_handshakes_total", "result=\"refused\"", NULL, METRIC_COUNTER) \
    X(COOKIES_SENT, "holdfast_cookies_sent_total", NULL, "HelloVerifyRequests sent",               \
      METRIC_COUNTER)                                                                              \
    X(HANDSHAKES_OPEN, "holdfast_handshakes_open", NULL, "Handshakes in progress", METRIC_GAUGE)   \
    X(SESSIONS, "holdfast_sessions", NULL, "Established DTLS sessions in memory", METRIC_GAUGE)    \
    X(SESSIONS_ADOPTED, "holdfast_sessions_adopted_total", NULL,                                   \
      "Sessions taken over from another worker", METRIC_COUNTER)                                   \
    X(SESSIONS_LOST, "holdfast_sessions_lost_total", NULL,                                         \
      "Sessions that another worker has taken over", METRIC_COUNTER)                               \
    X(SESSIONS_EVICTED, "holdfast_sessions_evicted_total", NULL,                                   \
      "Idle sessions dropped from memory; the store keeps them", METRIC_COUNTER)                   \
    X(HEIRS_SEARCHES, "holdfast_heirs_searches_total", NULL,                                       \
      "Searches of the store for sessions with relations that nobody holds", METRIC_COUNTER)       \
    X(HEIRS_CLAIMED, "holdfast_heirs_claimed_total", NULL,                                         \
      "Sessions with relations that were claimed before their peer spoke", METRIC_COUNTER)         \
    X(HEIRS_GIVEN, "holdfast_heirs_given_total", NULL,                                             \
      "Sessions with relations that were left to the worker they route to", METRIC_COUNTER)        \
    X(RECORDS_HELD, "holdfast_records_held_total", NULL,                                           \
      "Datagrams held while their session was claimed from the store", METRIC_COUNTER)             \
    X(STORED_TRUNCATED, "holdfast_stored_refused_total", "reason=\"truncated\"",                   \
      "Stored sessions and keys that were not usable, by reason", METRIC_COUNTER)                  \
    X(STORED_FORMAT, "holdfast_stored_refused_total", "reason=\"format\"", NULL, METRIC_COUNTER)   \
    X(STORED_KEY, "holdfast_stored_refused_total", "reason=\"unknown_key\"", NULL, METRIC_COUNTER) \
    X(STORED_BAD_TAG, "holdfast_stored_refused_total", "reason=\"bad_tag\"", NULL, METRIC_COUNTER) \
    X(STORED_NONSENSE, "holdfast_stored_refused_total", "reason=\"nonsense\"", NULL,               \
      METRIC_COUNTER)                                                                              \
    X(ADDRESS_CHANGES, "holdfast_address_changes_total", NULL,                                     \
      "Sessions whose peer moved to a new address", METRIC_COUNTER)                                \
    X(RECORDS_RECEIVED, "holdfast_records_total", "direction=\"in\"", "Protected DTLS records",    \
      METRIC_COUNTER)                                                                              \
    X(RECORDS_SENT, "holdfast_records_total", "direction=\"out\"", NULL, METRIC_COUNTER)           \
    X(DROPPED_MALFORMED, "holdfast_records_dropped_total", "reason=\"malformed\"",                 \
      "Records that had no effect, by reason", METRIC_COUNTER)                                     \
    X(DROPPED_VERSION, "holdfast_records_dropped_total", "reason=\"version\"", NULL,               \
      METRIC_COUNTER)                                                                              \
    X(DROPPED_OVERSIZED, "holdfast_records_dropped_total", "reason=\"oversized\"", NULL,           \
      METRIC_COUNTER)                                                                              \
    X(DROPPED_CID_CONFIG, "holdfast_records_dropped_total", "reason=\"cid_config\"", NULL,         \
      METRIC_COUNTER)                                                                              \
    X(DROPPED_CID_LENGTH, "holdfast_records_dropped_total", "reason=\"cid_length\"", NULL,         \
      METRIC_COUNTER)                                                                              \
    X(DROPPED_NO_SESSION, "holdfast_records_dropped_total", "reason=\"no_session\"", NULL,         \
      METRIC_COUNTER)                                                                              \
    X(DROPPED_EPOCH, "holdfast_records_dropped_total", "reason=\"epoch\"", NULL, METRIC_COUNTER)   \
    X(DROPPED_BAD_TAG, "holdfast_records_dropped_total", "reason=\"bad_tag\"", NULL,               \
      METRIC_COUNTER)                                                                              \
    X(DROPPED_REPLAYED, "holdfast_records_dropped_total", "reason=\"replayed\"", NULL,             \
      METRIC_COUNTER)                                                                              \
    X(DROPPED_ANCIENT, "holdfast_records_dropped_total", "reason=\"ancient\"", NULL,               \
      METRIC_COUNTER)                                                                              \
    X(DROPPED_CONTENT_TYPE, "holdfast_records_dropped_total", "reason=\"content_type\"", NULL,     \
      METRIC_COUNTER)                                                                              \
    X(DROPPED_RENEGOTIATION, "holdfast_records_dropped_total", "reason=\"renegotiation\"", NULL,   \
      METRIC_COUNTER)                                                                              \
    X(DROPPED_NO_CREDIT, "holdfast_records_dropped_total", "reason=\"path_unproven\"", NULL,       \
      METRIC_COUNTER)                                                                              \
    X(DROPPED_CLAIMS_FULL, "holdfast_records_dropped_total", "reason=\"claims_full\"", NULL,       \
      METRIC_COUNTER)                                                                              \
    X(DROPPED_STORE, "holdfast_records_dropped_total", "reason=\"store\"", NULL, METRIC_COUNTER)   \
    X(DROPPED_BACKLOG, "holdfast_records_dropped_total", "reason=\"backlog\"", NULL,               \
      METRIC_COUNTER)                                                                              \
    X(DROPPED_NO_LEASE, "holdfast_records_dropped_total", "reason=\"no_lease\"", NULL,             \
      METRIC_COUNTER)                                                                              \
    X(PATHS_HELD, "holdfast_path_replies_held_total", NULL,                                        \
      "Replies that waited for a new address to answer", METRIC_COUNTER)                           \
    X(FRAMES_MALFORMED, "holdfast_frames_dropped_total", "reason=\"malformed\"",                   \
      "Frames from load balancers that had no effect, by reason", METRIC_COUNTER)                  \
    X(FRAMES_VERSION, "holdfast_frames_dropped_total", "reason=\"version\"", NULL, METRIC_COUNTER) \
    X(FRAMES_BAD_TAG, "holdfast_frames_dropped_total", "reason=\"bad_tag\"", NULL, METRIC_COUNTER) \
    X(FRAMES_REPLAYED, "holdfast_frames_dropped_total", "reason=\"replayed\"", NULL,               \
      METRIC_COUNTER)                                                                              \
    X(FRAMES_OLD_BOOT, "holdfast_frames_dropped_total", "reason=\"old_boot\"", NULL,               \
      METRIC_COUNTER)                                                                              \
    X(FRAMES_NOT_FOR_US, "holdfast_frames_dropped_total", "reason=\"not_for_us\"", NULL,           \
      METRIC_COUNTER)                                                                              \
    X(COAP_REQUESTS, "holdfast_coap_requests_total", NULL, "CoAP requests served", METRIC_COUNTER) \
    X(COAP_DUPLICATES, "holdfast_coap_duplicates_total", NULL,                                     \
      "CoAP messages that had been received before", METRIC_COUNTER)                               \
    X(COAP_EXCHANGES_EVICTED, "holdfast_coap_exchanges_evicted_total", NULL,                       \
      "Remembered exchanges forgotten early for want of room", METRIC_COUNTER)                     \
    X(COAP_CHANGES_STORED, "holdfast_coap_changes_total", "result=\"stored\"",                     \
      "CoAP requests that change state, by what the store said", METRIC_COUNTER)                   \
    X(COAP_CHANGES_NOT_STORED, "holdfast_coap_changes_total", "result=\"not_stored\"", NULL,       \
      METRIC_COUNTER)                                                                              \
    X(COAP_REFUSED, "holdfast_coap_refused_total", NULL,                                           \
      "CoAP requests answered 5.03 because they could not be remembered", METRIC_COUNTER)          \
    X(COAP_TOO_MANY, "holdfast_coap_too_many_requests_total", NULL,                                \
      "CoAP requests answered 4.29: the peer asks more often than --request-rate",                 \
      METRIC_COUNTER)                                                                              \
    X(COAP_CHALLENGES, "holdfast_coap_challenges_total", NULL,                                     \
      "Plain CoAP requests answered 4.01 with an Echo: a longer reply wants the address proven",   \
      METRIC_COUNTER)                                                                              \
    X(COAP_SEPARATE, "holdfast_coap_separate_replies_total", NULL,                                 \
      "CoAP replies sent after an empty ACK", METRIC_COUNTER)                                      \
    X(COAP_UNANSWERED, "holdfast_coap_unanswered_total", NULL,                                     \
      "CoAP requests answered 5.03 because their answer took too long", METRIC_COUNTER)            \
    X(COAP_RETRANSMISSIONS, "holdfast_coap_retransmissions_total", NULL,                           \
      "Confirmable messages of ours sent again", METRIC_COUNTER)                                   \
    X(COAP_TIMEOUTS, "holdfast_coap_timeouts_total", NULL,                                         \
      "Confirmable messages of ours that were never acknowledged", METRIC_COUNTER)                 \
    X(COAP_TRANSMISSIONS_REFUSED, "holdfast_coap_transmissions_refused_total", NULL,               \
      "Confirmable messages of ours not sent for want of room", METRIC_COUNTER)                    \
    X(COAP_RESPONSES, "holdfast_coap_responses_total", NULL,                                       \
      "CoAP responses that somebody here waited for", METRIC_COUNTER)                              \
    X(COAP_TRANSFERS, "holdfast_coap_transfers", NULL, "Bodies kept while they go in blocks",      \
      METRIC_GAUGE)                                                                                \
    X(COAP_BODIES_IN, "holdfast_coap_bodies_total", "direction=\"in\"",                            \
      "Bodies that went in blocks, to the last one", METRIC_COUNTER)                               \
    X(COAP_BODIES_OUT, "holdfast_coap_bodies_total", "direction=\"out\"", NULL, METRIC_COUNTER)    \
    X(COAP_LOST_TIME, "holdfast_coap_transfers_abandoned_total", "reason=\"time\"",                \
      "Transfers in blocks that ended without their last block, by reason", METRIC_COUNTER)        \
    X(COAP_LOST_ROOM, "holdfast_coap_transfers_abandoned_total", "reason=\"room\"", NULL,          \
      METRIC_COUNTER)                                                                              \
    X(COAP_LOST_RESTARTED, "holdfast_coap_transfers_abandoned_total", "reason=\"restarted\"",      \
      NULL, METRIC_COUNTER)                                                                        \
    X(COAP_LOST_PEER, "holdfast_coap_transfers_abandoned_total", "reason=\"session\"", NULL,       \
      METRIC_COUNTER)                                                                              \
    X(COAP_BLOCKS_MISSIZED, "holdfast_coap_blocks_refused_total", "reason=\"size\"",               \
      "Blocks that did not belong to a body, by reason: 4.00, 4.08, 4.13, 5.03", METRIC_COUNTER)   \
    X(COAP_BLOCKS_INCOMPLETE, "holdfast_coap_blocks_refused_total", "reason=\"incomplete\"", NULL, \
      METRIC_COUNTER)                                                                              \
    X(COAP_BLOCKS_TOO_LARGE, "holdfast_coap_blocks_refused_total", "reason=\"too_large\"", NULL,   \
      METRIC_COUNTER)                                                                              \
    X(COAP_BLOCKS_NO_ROOM, "holdfast_coap_blocks_refused_total", "reason=\"room\"", NULL,          \
      METRIC_COUNTER)                                                                              \
    X(COAP_DROPPED_VERSION, "holdfast_coap_dropped_total", "reason=\"version\"",                   \
      "CoAP messages that had no effect, by reason", METRIC_COUNTER)                               \
    X(COAP_DROPPED_TOKEN, "holdfast_coap_dropped_total", "reason=\"token_length\"", NULL,          \
      METRIC_COUNTER)                                                                              \
    X(COAP_DROPPED_MALFORMED, "holdfast_coap_dropped_total", "reason=\"malformed\"", NULL,         \
      METRIC_COUNTER)                                                                              \
    X(COAP_DROPPED_OPTION, "holdfast_coap_dropped_total", "reason=\"critical_option\"", NULL,      \
      METRIC_COUNTER)                                                                              \
    X(COAP_DROPPED_NO_ROOM, "holdfast_coap_dropped_total", "reason=\"no_room\"", NULL,             \
      METRIC_COUNTER)                                                                              \
    X(COAP_DROPPED_UNEXPECTED, "holdfast_coap_dropped_total", "reason=\"unexpected\"", NULL,       \
      METRIC_COUNTER)                                                                              \
    X(OBSERVERS, "holdfast_observations", "role=\"server\"", "Observe relations in memory",        \
      METRIC_GAUGE)                                                                                \
    X(OBSERVATIONS, "holdfast_observations", "role=\"client\"", NULL, METRIC_GAUGE)                \
    X(NOTIFICATIONS_NON, "holdfast_notifications_sent_total", "type=\"non\"",                      \
      "Notifications to observers", METRIC_COUNTER)                                                \
    X(NOTIFICATIONS_CON, "holdfast_notifications_sent_total", "type=\"con\"", NULL,                \
      METRIC_COUNTER)                                                                              \
    X(NOTIFICATIONS_SKIPPED, "holdfast_notifications_skipped_total", NULL,                         \
      "States that an observer was not told because a newer one came first", METRIC_COUNTER)       \
    X(OBSERVERS_REFUSED, "holdfast_observers_refused_total", NULL,                                 \
      "Registrations that were answered without Observe for want of room", METRIC_COUNTER)         \
    X(OBSERVERS_ENDED_DEREGISTERED, "holdfast_observers_ended_total", "reason=\"deregistered\"",   \
      "Observers that left the list, by reason", METRIC_COUNTER)                                   \
    X(OBSERVERS_ENDED_RESET, "holdfast_observers_ended_total", "reason=\"reset\"", NULL,           \
      METRIC_COUNTER)                                                                              \
    X(OBSERVERS_ENDED_TIMEOUT, "holdfast_observers_ended_total", "reason=\"timeout\"", NULL,       \
      METRIC_COUNTER)                                                                              \
    X(OBSERVERS_ENDED_GONE, "holdfast_observers_ended_total", "reason=\"gone\"", NULL,             \
      METRIC_COUNTER)                                                                              \
    X(OBSERVERS_ENDED_NOT_STORED, "holdfast_observers_ended_total", "reason=\"not_stored\"", NULL, \
      METRIC_COUNTER)                                                                              \
    X(PS_PUBLISHED, "holdfast_ps_publications_total", NULL, "Publications to topics",              \
      METRIC_COUNTER)                                                                              \
    X(PS_REFUSED, "holdfast_ps_refused_total", NULL,                                               \
      "Requests to topics answered 5.03 because too many wait for the store", METRIC_COUNTER)      \
    X(OBSERVATIONS_REFUSED, "holdfast_observations_refused_total", NULL,                           \
      "Observations of devices that found no room", METRIC_COUNTER)                                \
    X(OBSERVATIONS_RENEWED, "holdfast_observations_renewed_total", NULL,                           \
      "Registrations with devices that were made again", METRIC_COUNTER)                           \
    X(OBSERVATIONS_ENDED, "holdfast_observations_ended_total", NULL,                               \
      "Observations that their device has ended", METRIC_COUNTER)                                  \
    X(HEARD_STORED, "holdfast_notifications_received_total", "result=\"stored\"",                  \
      "Notifications from devices, by what became of them", METRIC_COUNTER)                        \
    X(HEARD_NOT_STORED, "holdfast_notifications_received_total", "result=\"not_stored\"", NULL,    \
      METRIC_COUNTER)                                                                              \
    X(HEARD_REORDERED, "holdfast_notifications_received_total", "result=\"reordered\"", NULL,      \
      METRIC_COUNTER)                                                                              \
    X(HEARD_UNKNOWN, "holdfast_notifications_received_total", "result=\"unknown\"", NULL,          \
      METRIC_COUNTER)                                                                              \
    X(HEARD_STORM, "holdfast_notifications_received_total", "result=\"storm\"", NULL,              \
      METRIC_COUNTER)                                                                              \
    X(HEARD_TOO_LARGE, "holdfast_notifications_received_total", "result=\"too_large\"", NULL,      \
      METRIC_COUNTER)                                                                              \
    X(HEARD_MALFORMED, "holdfast_notifications_received_total", "result=\"malformed\"", NULL,      \
      METRIC_COUNTER)                                                                              \
    X(FETCHES_WHOLE, "holdfast_notification_fetches_total", "result=\"whole\"",                    \
      "Notifications in blocks, by what became of the rest", METRIC_COUNTER)                       \
    X(FETCHES_SUPERSEDED, "holdfast_notification_fetches_total", "result=\"superseded\"", NULL,    \
      METRIC_COUNTER)                                                                              \
    X(FETCHES_FAILED, "holdfast_notification_fetches_total", "result=\"failed\"", NULL,            \
      METRIC_COUNTER)                                                                              \
    X(FETCHES_REFUSED, "holdfast_notification_fetches_total", "result=\"refused\"", NULL,          \
      METRIC_COUNTER)                                                                              \
    X(API_REFUSED, "holdfast_api_refused_total", NULL,                                             \
      "HTTP requests for devices that found no room", METRIC_COUNTER)                              \
    X(ERRANDS, "holdfast_device_requests_total", NULL, "CoAP requests to devices", METRIC_COUNTER) \
    X(ERRANDS_REFUSED, "holdfast_device_requests_refused_total", NULL,                             \
      "CoAP requests to devices that found no room", METRIC_COUNTER)                               \
    STORE_METRICS(X)

enum worker_metric {
#define WORKER_METRIC_ENUM(id, name, label, help, kind) WORKER_##id,
    WORKER_METRICS(WORKER_METRIC_ENUM)
#undef WORKER_METRIC_ENUM
        WORKER_METRICS_COUNT
};

extern const struct metric worker_metrics[WORKER_METRICS_COUNT];

#endif
