#include "bench/result.h"

#include <string.h>

const struct measure measures[RESULT_MEASURES] = {
    [RESULT_DEVICES] = {"devices", MEASURE_COUNT, true, "simulated"},
    [RESULT_ADDRESSES] = {"addresses", MEASURE_COUNT, true, "and ports, that they have in all"},
    [RESULT_REQUESTS] = {"requests", MEASURE_COUNT, true, "asked, retransmissions aside"},
    [RESULT_SERVED] = {"served", MEASURE_COUNT, true, "answered with success"},
    [RESULT_RATE] = {"rate", MEASURE_PER_SECOND, true, "served in the run"},
    [RESULT_P50] = {"p50", MEASURE_TIME, false, "latency, median"},
    [RESULT_P90] = {"p90", MEASURE_TIME, false, "latency"},
    [RESULT_P99] = {"p99", MEASURE_TIME, false, "latency"},
    [RESULT_P999] = {"p999", MEASURE_TIME, false, "latency"},
    [RESULT_MAX] = {"max", MEASURE_TIME, false, "latency"},
    [RESULT_LOST] = {"lost", MEASURE_COUNT, false, "unanswered after all retransmissions"},
    [RESULT_REFUSED] = {"refused", MEASURE_COUNT, false, "answered 4.xx or reset"},
    [RESULT_UNAVAILABLE] = {"unavailable", MEASURE_COUNT, false, "answered 5.xx"},
    [RESULT_WRONG] = {"wrong", MEASURE_COUNT, false, "echoes of something else"},
    [RESULT_BACKLOG] = {"backlog", MEASURE_COUNT, false, "due and never asked: all were busy"},
    [RESULT_RETRANSMISSIONS] = {"retransmissions", MEASURE_COUNT, false, "of requests"},
    [RESULT_MAX_GAP] = {"max_gap", MEASURE_TIME, false, "longest without anything served"},
    [RESULT_REBINDS] = {"rebinds", MEASURE_COUNT, true, "changes of source port"},
    [RESULT_PINGS] = {"pings", MEASURE_COUNT, true, "of the server, answered"},
    [RESULT_SESSIONS_ENDED] = {"sessions_ended", MEASURE_COUNT, false, "by the server"},
    [RESULT_BAD_RECORDS] = {"bad_records", MEASURE_COUNT, false, "that did not open"},
    [RESULT_STRAYS] = {"strays", MEASURE_COUNT, false, "messages that nobody waited for"},
    [RESULT_UNSENT] = {"unsent", MEASURE_COUNT, false, "datagrams that our kernel did not take"},
    [RESULT_OCTETS_UP] = {"octets_up", MEASURE_OCTETS, false, "UDP payload for each served"},
    [RESULT_OCTETS_DOWN] = {"octets_down", MEASURE_OCTETS, false, "UDP payload for each served"},
    [RESULT_SERVER_CPU] = {"server_cpu", MEASURE_TIME, false, "of the server for 1,000 served"},
    [RESULT_SERVER_MEMORY] = {"server_memory", MEASURE_OCTETS, false,
                              "resident, for each session, when all were there"},
    [RESULT_SERVER_MEMORY_PEAK] = {"server_memory_peak", MEASURE_OCTETS, false,
                                   "the most that was resident, for each session"},
    [RESULT_RELATIONS] = {"relations", MEASURE_COUNT, true, "of Observe, begun"},
    [RESULT_RELATIONS_ENDED] = {"relations_ended", MEASURE_COUNT, false, "with or without session"},
    [RESULT_ASKED] = {"asked", MEASURE_COUNT, true, "by the server, and answered"},
    [RESULT_NOTIFICATIONS] = {"notifications", MEASURE_COUNT, true, "new ones that came"},
    [RESULT_NOTIFICATION_RATE] = {"notification_rate", MEASURE_PER_SECOND, true, "in the run"},
    [RESULT_NOTIFICATION_P50] = {"notification_p50", MEASURE_TIME, false,
                                 "since due to be published, median"},
    [RESULT_NOTIFICATION_P99] = {"notification_p99", MEASURE_TIME, false, "likewise"},
    [RESULT_NOTIFICATION_MAX] = {"notification_max", MEASURE_TIME, false, "likewise"},
    [RESULT_REORDERED] = {"reordered", MEASURE_COUNT, false, "notifications older than another"},
    [RESULT_REPEATED] = {"repeated", MEASURE_COUNT, false, "notifications that had come before"},
    [RESULT_SKIPPED] = {"skipped", MEASURE_COUNT, false, "numbers between two notifications"},
    [RESULT_OBSERVED] = {"observed", MEASURE_COUNT, true, "sessions that the API observes"},
    [RESULT_OBSERVE_REFUSED] = {"observe_refused", MEASURE_COUNT, false,
                                "by the API, and asked again"},
    [RESULT_OBSERVE_P50] = {"observe_p50", MEASURE_TIME, false, "of the API for one, median"},
    [RESULT_OBSERVE_P99] = {"observe_p99", MEASURE_TIME, false, "likewise"},
    [RESULT_OBSERVE_MAX] = {"observe_max", MEASURE_TIME, false, "likewise"},
    [RESULT_STORED] = {"stored", MEASURE_COUNT, true, "notifications, as the server counts them"},
    [RESULT_UNSTORED] = {"unstored", MEASURE_COUNT, false, "served beyond what it has stored"},
    [RESULT_HANDSHAKES] = {"handshakes", MEASURE_COUNT, false, "completed"},
    [RESULT_HANDSHAKES_AFTER_START] = {"handshakes_after_start", MEASURE_COUNT, false,
                                       "of these, once the run had begun"},
    [RESULT_HANDSHAKES_FAILED] = {"handshakes_failed", MEASURE_COUNT, false, "given up"},
    [RESULT_HANDSHAKE_RETRANSMISSIONS] = {"handshake_retransmissions", MEASURE_COUNT, false,
                                          "of flights"},
    [RESULT_HANDSHAKE_RATE] = {"handshake_rate", MEASURE_PER_SECOND, true, "while they were made"},
    [RESULT_HANDSHAKE_P50] = {"handshake_p50", MEASURE_TIME, false, "duration, median"},
    [RESULT_HANDSHAKE_P99] = {"handshake_p99", MEASURE_TIME, false, "duration"},
    [RESULT_HANDSHAKE_MAX] = {"handshake_max", MEASURE_TIME, false, "duration"},
    [RESULT_HANDSHAKE_OCTETS_UP] = {"handshake_octets_up", MEASURE_OCTETS, false,
                                    "UDP payload for each"},
    [RESULT_HANDSHAKE_OCTETS_DOWN] = {"handshake_octets_down", MEASURE_OCTETS, false,
                                      "UDP payload for each"},
    [RESULT_START] = {"start", MEASURE_TIME, false, "until all had a session"},
    [RESULT_DURATION] = {"duration", MEASURE_TIME, true, "of the run"},
    [RESULT_MARK] = {"mark", MEASURE_TIME, false, "since the run's begin"},
    [RESULT_RECOVERED] = {"recovered", MEASURE_COUNT, true, "devices served after the mark"},
    [RESULT_UNRECOVERED] = {"unrecovered", MEASURE_COUNT, false, "devices not served after it"},
    [RESULT_RECOVERY_P50] = {"recovery_p50", MEASURE_TIME, false, "mark to next served, median"},
    [RESULT_RECOVERY_P99] = {"recovery_p99", MEASURE_TIME, false, "mark to next served"},
    [RESULT_RECOVERY_MAX] = {"recovery_max", MEASURE_TIME, false, "mark to next served"},
    [RESULT_AFFECTED] = {"affected", MEASURE_COUNT, false, "of these had to retransmit first"},
    [RESULT_AFFECTED_P50] = {"affected_p50", MEASURE_TIME, false, "their recovery, median"},
    [RESULT_AFFECTED_P99] = {"affected_p99", MEASURE_TIME, false, "their recovery"},
    [RESULT_AFFECTED_MAX] = {"affected_max", MEASURE_TIME, false, "their recovery"},
};

static void set(struct result *result, enum measure_id id, double value)
{
    result->value[id] = value;
    result->known[id] = true;
}

static void set_count(struct result *result, enum measure_id id, uint64_t count)
{
    set(result, id, (double)count);
}

static void set_ratio(struct result *result, enum measure_id id, uint64_t part, uint64_t whole)
{
    if (whole > 0)
        set(result, id, (double)part / (double)whole);
}

static void set_time(struct result *result, enum measure_id id, uint64_t us)
{
    set(result, id, (double)us / 1000);
}

static void set_percentile(struct result *result, enum measure_id id,
                           const struct histogram *histogram, uint32_t per_million)
{
    if (histogram->count > 0)
        set_time(result, id, histogram_percentile(histogram, per_million));
}

static void set_rate(struct result *result, enum measure_id id, uint64_t count, uint64_t us)
{
    if (us > 0)
        set(result, id, (double)count * 1e6 / (double)us);
}

static void set_requests(struct result *result, const struct tally *tally)
{
    set_count(result, RESULT_ADDRESSES, tally->addresses);
    set_count(result, RESULT_REQUESTS, tally->requests);
    set_count(result, RESULT_SERVED, tally->served);
    set_rate(result, RESULT_RATE, tally->served_in_run, tally->run_us);
    set_percentile(result, RESULT_P50, &tally->latency, 500000);
    set_percentile(result, RESULT_P90, &tally->latency, 900000);
    set_percentile(result, RESULT_P99, &tally->latency, 990000);
    set_percentile(result, RESULT_P999, &tally->latency, 999000);
    set_percentile(result, RESULT_MAX, &tally->latency, 1000000);
    set_count(result, RESULT_LOST, tally->lost);
    set_count(result, RESULT_REFUSED, tally->refused);
    set_count(result, RESULT_UNAVAILABLE, tally->unavailable);
    set_count(result, RESULT_WRONG, tally->wrong);
    set_count(result, RESULT_BACKLOG, tally->backlog);
    set_count(result, RESULT_RETRANSMISSIONS, tally->retransmissions);
    set_time(result, RESULT_MAX_GAP, tally->max_gap_us);
    set_count(result, RESULT_REBINDS, tally->rebinds);
    set_count(result, RESULT_PINGS, tally->pings);
    set_count(result, RESULT_SESSIONS_ENDED, tally->sessions_ended);
    set_count(result, RESULT_BAD_RECORDS, tally->bad_records);
    set_count(result, RESULT_STRAYS, tally->strays);
    set_count(result, RESULT_UNSENT, tally->unsent);
    set_ratio(result, RESULT_OCTETS_UP, tally->octets_up, tally->served);
    set_ratio(result, RESULT_OCTETS_DOWN, tally->octets_down, tally->served);
}

static void set_usage(struct result *result, const struct tally *tally, uint64_t devices)
{
    uint64_t before = tally->usage_before.resident;
    uint64_t at_start = tally->usage_at_start.resident;
    uint64_t peak = tally->usage_at_end.resident_peak;
    if (!tally->has_usage)
        return;
    if (tally->served_in_run > 0)
        set(result, RESULT_SERVER_CPU,
            (double)(tally->usage_at_end.cpu_us - tally->usage_at_start.cpu_us) /
                (double)tally->served_in_run);
    set_ratio(result, RESULT_SERVER_MEMORY, at_start > before ? at_start - before : 0, devices);
    set_ratio(result, RESULT_SERVER_MEMORY_PEAK, peak > before ? peak - before : 0, devices);
}

static void set_relations(struct result *result, const struct tally *tally)
{
    if (tally->relations == 0)
        return;
    set_count(result, RESULT_RELATIONS, tally->relations);
    set_count(result, RESULT_RELATIONS_ENDED, tally->relations_ended);
    set_count(result, RESULT_ASKED, tally->asked);
    set_count(result, RESULT_NOTIFICATIONS, tally->notifications);
    set_rate(result, RESULT_NOTIFICATION_RATE, tally->notifications_in_run, tally->run_us);
    set_percentile(result, RESULT_NOTIFICATION_P50, &tally->notification, 500000);
    set_percentile(result, RESULT_NOTIFICATION_P99, &tally->notification, 990000);
    set_percentile(result, RESULT_NOTIFICATION_MAX, &tally->notification, 1000000);
    set_count(result, RESULT_REORDERED, tally->notifications_reordered);
    set_count(result, RESULT_REPEATED, tally->notifications_repeated);
    set_count(result, RESULT_SKIPPED, tally->numbers_skipped);
}

static void set_observed(struct result *result, const struct tally *tally)
{
    if (tally->observed + tally->observe_refused == 0)
        return;
    set_count(result, RESULT_OBSERVED, tally->observed);
    set_count(result, RESULT_OBSERVE_REFUSED, tally->observe_refused);
    set_percentile(result, RESULT_OBSERVE_P50, &tally->observe, 500000);
    set_percentile(result, RESULT_OBSERVE_P99, &tally->observe, 990000);
    set_percentile(result, RESULT_OBSERVE_MAX, &tally->observe, 1000000);
    if (!tally->has_stored)
        return;
    set_count(result, RESULT_STORED, tally->stored);
    set_count(result, RESULT_UNSTORED,
              tally->served > tally->stored ? tally->served - tally->stored : 0);
}

static void set_handshakes(struct result *result, const struct tally *tally)
{
    set_count(result, RESULT_HANDSHAKES, tally->handshakes);
    set_count(result, RESULT_HANDSHAKES_AFTER_START, tally->handshakes_after_start);
    set_count(result, RESULT_HANDSHAKES_FAILED, tally->handshakes_failed);
    set_count(result, RESULT_HANDSHAKE_RETRANSMISSIONS, tally->handshake_retransmissions);
    set_rate(result, RESULT_HANDSHAKE_RATE, tally->handshake_span_count, tally->handshake_span_us);
    set_percentile(result, RESULT_HANDSHAKE_P50, &tally->handshake, 500000);
    set_percentile(result, RESULT_HANDSHAKE_P99, &tally->handshake, 990000);
    set_percentile(result, RESULT_HANDSHAKE_MAX, &tally->handshake, 1000000);
    set_ratio(result, RESULT_HANDSHAKE_OCTETS_UP, tally->handshake_octets_up, tally->handshakes);
    set_ratio(result, RESULT_HANDSHAKE_OCTETS_DOWN, tally->handshake_octets_down,
              tally->handshakes);
}

static void set_recovery(struct result *result, const struct tally *tally)
{
    if (!tally->marked)
        return;
    set_time(result, RESULT_MARK, tally->mark_us);
    set_count(result, RESULT_RECOVERED, tally->recovery.count);
    set_count(result, RESULT_UNRECOVERED, tally->unrecovered);
    set_percentile(result, RESULT_RECOVERY_P50, &tally->recovery, 500000);
    set_percentile(result, RESULT_RECOVERY_P99, &tally->recovery, 990000);
    set_percentile(result, RESULT_RECOVERY_MAX, &tally->recovery, 1000000);
    set_count(result, RESULT_AFFECTED, tally->affected.count);
    set_percentile(result, RESULT_AFFECTED_P50, &tally->affected, 500000);
    set_percentile(result, RESULT_AFFECTED_P99, &tally->affected, 990000);
    set_percentile(result, RESULT_AFFECTED_MAX, &tally->affected, 1000000);
}

void result_make(struct result *result, const struct tally *tally, uint64_t devices)
{
    memset(result, 0, sizeof(*result));
    set_count(result, RESULT_DEVICES, devices);
    set_requests(result, tally);
    set_usage(result, tally, devices);
    set_relations(result, tally);
    set_observed(result, tally);
    set_handshakes(result, tally);
    set_time(result, RESULT_START, tally->start_us);
    set_time(result, RESULT_DURATION, tally->run_us);
    set_recovery(result, tally);
}

static const char *const units[] = {[MEASURE_COUNT] = "",
                                    [MEASURE_PER_SECOND] = "/s",
                                    [MEASURE_TIME] = "ms",
                                    [MEASURE_OCTETS] = "octets"};
static const int decimals[] = {
    [MEASURE_COUNT] = 0, [MEASURE_PER_SECOND] = 1, [MEASURE_TIME] = 3, [MEASURE_OCTETS] = 1};

void result_print(const struct result *result, FILE *out)
{
    for (size_t id = 0; id < RESULT_MEASURES; id++) {
        const struct measure *measure = &measures[id];
        if (result->known[id])
            (void)fprintf(out, "%-26s %14.*f %-7s %s\n", measure->name, decimals[measure->kind],
                          result->value[id], units[measure->kind], measure->meaning);
    }
}

void result_print_json(const struct result *result, const char *workload, FILE *out)
{
    (void)fprintf(out, "{\"workload\":\"%s\"", workload);
    for (size_t id = 0; id < RESULT_MEASURES; id++) {
        const struct measure *measure = &measures[id];
        (void)fprintf(out, ",\"%s%s\":", measure->name, measure->kind == MEASURE_TIME ? "_ms" : "");
        if (result->known[id])
            (void)fprintf(out, "%.*f", decimals[measure->kind], result->value[id]);
        else
            (void)fputs("null", out);
    }
    (void)fputs("}\n", out);
}

enum measure_id result_find(const char *name, size_t length)
{
    for (size_t id = 0; id < RESULT_MEASURES; id++) {
        size_t own = strlen(measures[id].name);
        if (length < own || memcmp(name, measures[id].name, own) != 0)
            continue;
        if (length == own || (measures[id].kind == MEASURE_TIME && length == own + 3 &&
                              memcmp(name + own, "_ms", 3) == 0))
            return (enum measure_id)id;
    }
    return RESULT_MEASURES;
}
