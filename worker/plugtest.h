/* The resources of the ETSI CoAP plugtests (TD_COAP_CORE, TD_COAP_LINK, TD_COAP_BLOCK,
 * TD_COAP_OBS), there only with --plugtest: what each does is in the test descriptions, which name
 * them. Their state is of this process only: PLUGTEST_VALUES values of PLUGTEST_VALUE_MAX octets,
 * allocated once. */
#ifndef HOLDFAST_WORKER_PLUGTEST_H
#define HOLDFAST_WORKER_PLUGTEST_H

#include "shared/limits.h"
#include "shared/status.h"
#include "worker/coap.h"
#include "worker/resource.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What can be read and, most of it, written. */
enum plugtest_name {
    PLUGTEST_TEST,
    PLUGTEST_VALIDATE,
    PLUGTEST_CREATE1,
    PLUGTEST_LOCATION,
    PLUGTEST_LARGE_UPDATE,
    PLUGTEST_LARGE_CREATED,
    PLUGTEST_OBS,
    PLUGTEST_OBS_NON,
    PLUGTEST_OBS_LARGE,
    PLUGTEST_OBS_PUMPING, /* large and small in turn */
    PLUGTEST_VALUES
};

struct plugtest_value {
    bool exists;
    bool has_turned; /* its last change was one of its format */
    uint16_t format;
    size_t length;
    uint8_t bytes[PLUGTEST_VALUE_MAX];
};

/* A request to /separate or /large-separate that is answered when it is due. */
struct plugtest_wait {
    uint64_t ticket;
    uint64_t due_ms;
    bool large;
};

struct plugtest {
    struct plugtest_value values[PLUGTEST_VALUES];
    struct plugtest_wait waits[PLUGTEST_WAITS_MAX]; /* a ring; what came first is due first */
    size_t wait_first, wait_count;
    unsigned ticks;
    uint64_t tick_ms; /* when the next one is due */
};

MUST_USE enum status plugtest_new(struct plugtest **plugtest);
void plugtest_free(struct plugtest *plugtest); /* or NULL */

/* Answers what is due, and changes what changes of itself. */
void plugtest_run(struct plugtest *plugtest, struct coap *coap, struct coap_now now);
/* When that is. */
uint64_t plugtest_next_ms(const struct plugtest *plugtest);

/* --- handlers --- */

/* /test, /validate, /create1, /location1/location2/location3, /large-update */
resource_handler plugtest_get, plugtest_put, plugtest_delete;
resource_state_fn plugtest_state;
/* To /test: 2.01 with /location1/location2/location3. */
resource_handler plugtest_create;

resource_handler plugtest_query;        /* the arguments, a line each */
resource_handler plugtest_create_query; /* 2.01 with ?first=1&second=2 */
resource_handler plugtest_formats;      /* text or XML */
resource_handler plugtest_path;         /* links to what is below */
resource_handler plugtest_below;        /* /path/sub1 to sub3 */
resource_handler plugtest_text;         /* one line of text */

/* plugtest_large.c */
#define PLUGTEST_LARGE_SIZE 1792 /* 28 lines of 64 octets */
void plugtest_write_large(struct writer *writer);
resource_handler plugtest_large, plugtest_large_post;
resource_handler plugtest_large_create, plugtest_large_created, plugtest_large_remove;

/* plugtest_observe.c */
resource_handler plugtest_observed, plugtest_observed_put, plugtest_observed_delete;
/* POST: all that observe /obs are forgotten, as if the server had begun anew. */
resource_handler plugtest_forget;
/* What changes of itself has another state. */
void plugtest_tick(struct plugtest *plugtest, struct coap *coap);

/* The value that the call's row is about. */
struct plugtest_value *plugtest_value_of(const struct resource_call *call);

/* plugtest_separate.c */
resource_handler plugtest_separate;
/* What has waited for long enough is answered; when that is, UINT64_MAX: nothing waits. */
void plugtest_answer(struct plugtest *plugtest, struct coap *coap, struct coap_now now);
uint64_t plugtest_answer_ms(const struct plugtest *plugtest);

#endif
