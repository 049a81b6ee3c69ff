/* holdfast-bench: options, signals, the progress line, the result. */
#include "bench/clock.h"
#include "bench/fleet.h"
#include "bench/plan.h"
#include "bench/result.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { EXIT_AS_EXPECTED, EXIT_NOT_AS_EXPECTED, EXIT_UNUSABLE };

#define PROGRESS_US 1000000

static volatile sig_atomic_t stop_wanted;
static volatile sig_atomic_t mark_wanted;
static volatile uint64_t mark_us; /* read once mark_wanted is set, which it is once only */

static void on_stop(int signal)
{
    (void)signal;
    stop_wanted = 1;
}

static void on_mark(int signal)
{
    (void)signal;
    if (mark_wanted)
        return;
    mark_us = clock_now_us();
    mark_wanted = 1;
}

static void install(int signal, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};
    (void)sigaction(signal, &action, NULL);
}

static void show_progress(const struct fleet *fleet, uint64_t served_before)
{
    const struct tally *tally = fleet_tally(fleet);
    (void)fprintf(stderr,
                  "sessions=%zu handshakes=%llu served=%llu (+%llu) lost=%llu retransmissions=%llu "
                  "p50_ms=%.3f p99_ms=%.3f\n",
                  fleet_established(fleet), (unsigned long long)tally->handshakes,
                  (unsigned long long)tally->served,
                  (unsigned long long)(tally->served - served_before),
                  (unsigned long long)tally->lost, (unsigned long long)tally->retransmissions,
                  (double)histogram_percentile(&tally->latency, 500000) / 1000,
                  (double)histogram_percentile(&tally->latency, 990000) / 1000);
}

static enum fleet_phase run(struct fleet *fleet)
{
    enum fleet_phase phase = FLEET_START;
    uint64_t served = 0;
    uint64_t next_us = clock_now_us() + PROGRESS_US;
    while (phase != FLEET_DONE && phase != FLEET_FAILED) {
        phase = fleet_turn(fleet, next_us);
        if (mark_wanted)
            fleet_mark(fleet, mark_us);
        if (stop_wanted)
            fleet_stop(fleet);
        if (clock_now_us() >= next_us) {
            show_progress(fleet, served);
            served = fleet_tally(fleet)->served;
            next_us += PROGRESS_US;
        }
    }
    return phase;
}

static bool meets_expectations(const struct plan *plan, const struct result *result)
{
    bool all_met = true;
    for (size_t i = 0; i < plan->expectation_count; i++) {
        const struct expectation *expectation = &plan->expectations[i];
        if (expectation_is_met(expectation, result))
            continue;
        const struct measure *measure = &measures[expectation->measure];
        all_met = false;
        (void)fprintf(stderr, "holdfast-bench: %s: ", measure->name);
        if (result->known[expectation->measure])
            (void)fprintf(stderr, "%g", result->value[expectation->measure]);
        else
            (void)fprintf(stderr, "nothing was measured");
        (void)fprintf(stderr, ", expected at %s %g%s\n", measure->at_least ? "least" : "most",
                      expectation->bound, measure->kind == MEASURE_TIME ? " ms" : "");
    }
    return all_met;
}

int main(int argc, char **argv)
{
    struct plan plan;
    struct fleet *fleet;
    struct result result;
    switch (plan_parse(&plan, argc, argv)) {
    case OPTION_DONE:
        return EXIT_AS_EXPECTED;
    case OPTION_UNUSABLE:
        return EXIT_UNUSABLE;
    case OPTION_RUN:
        break;
    }
    install(SIGINT, on_stop);
    install(SIGTERM, on_stop);
    install(SIGUSR1, on_mark);
    enum status status = fleet_new(&fleet, &plan);
    if (status != STATUS_OK) {
        (void)fprintf(stderr, "holdfast-bench: the devices cannot be made: %s\n",
                      status == STATUS_SYSTEM ? strerror(errno) : status_text(status));
        return EXIT_NOT_AS_EXPECTED;
    }
    enum fleet_phase end = run(fleet);
    result_make(&result, fleet_tally(fleet), plan.devices);
    if (plan.json)
        result_print_json(&result, workload_names[plan.workload], stdout);
    else
        result_print(&result, stdout);
    bool good = meets_expectations(&plan, &result);
    bool has_sessions = fleet_established(fleet) == plan.devices;
    if (end == FLEET_FAILED && has_sessions) {
        (void)fprintf(stderr, "holdfast-bench: only %zu of %llu devices observe or are observed\n",
                      fleet_related(fleet), (unsigned long long)plan.devices);
        good = false;
    } else if (end == FLEET_FAILED) {
        (void)fprintf(stderr, "holdfast-bench: only %zu of %llu devices got a session\n",
                      fleet_established(fleet), (unsigned long long)plan.devices);
        good = false;
    }
    fleet_free(fleet);
    return good ? EXIT_AS_EXPECTED : EXIT_NOT_AS_EXPECTED;
}
