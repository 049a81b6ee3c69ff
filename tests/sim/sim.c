#include "tests/sim/sim.h"

#include "shared/log.h"
#include "worker/topic.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EPOCH_UNIX_MS UINT64_C(1700000000000) /* where the wall clock of a run begins */
#define NODE_PORT 7000

static struct sim sim; /* large, and one at a time */

uint64_t sim_unix_ms(const struct sim *of)
{
    return EPOCH_UNIX_MS + of->now_ms;
}

struct address sim_node_address(size_t node)
{
    return (struct address){.ip = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1},
                            .port = (uint16_t)(NODE_PORT + node)};
}

size_t sim_node_at(const struct sim *of, const struct address *address)
{
    (void)of;
    return address->port - NODE_PORT;
}

const char *sim_name(const struct cid *cid)
{
    static char names[4][2 * CID_LENGTH_MAX + 1];
    static unsigned next;
    char *name = names[next++ % 4];
    name[0] = 0;
    for (size_t i = 0; i < cid->length; i++)
        (void)snprintf(name + 2 * i, 3, "%02x", cid->bytes[i]);
    return name;
}

void sim_violated(struct sim *of, enum invariant invariant, const char *format, ...)
{
    if (of->result.violated != INVARIANT_NONE)
        return;
    of->result.violated = invariant;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(of->result.why, sizeof(of->result.why), format, arguments);
    va_end(arguments);
    trace_line(&of->trace, of->now_ms, "VIOLATED: %s", of->result.why);
}

void sim_print_last(void)
{
    trace_print_last(&sim.trace);
}

void sim_topic_name(size_t topic, char name[3])
{
    name[0] = 't';
    name[1] = (char)('0' + topic);
    name[2] = 0;
}

/* --- a run --- */

/* Confirmable notifications come often: a run is short, and what is lost in it is owed. */
static void draw_cluster(void)
{
    sim.timing = (struct coap_timing){
        .ack_timeout_ms = 1000,
        .separate_ms = (uint32_t)draw_between(&sim.people, 50, 600),
        .max_retransmit = 5, /* none times out before the weather is calm */
        .random_percent = COAP_ACK_RANDOM_PERCENT,
    };
    sim.observe = (struct coap_observe){
        .confirm_s = (uint32_t)draw_between(&sim.people, 2, 10),
        .confirm_every = (uint8_t)draw_between(&sim.people, 0, 3),
    };
}

/* Topics are there from the beginning. */
static void fill_topics(void)
{
    for (size_t i = 0; i < SIM_TOPICS; i++) {
        char name[3];
        uint8_t space[TOPIC_VALUE_HEADER + 1];
        struct writer writer = writer_over(space, sizeof(space));
        const struct topic_value value = {.has_data = true, .data = {(const uint8_t *)"-", 1}};
        sim_topic_name(i, name);
        topic_value_write(&writer, &value);
        struct question *question =
            question_new(STORE_PUT_TOPIC, &(struct store_waiter){.answer = NULL});
        question->mode = STORE_TOPIC_CREATE;
        question->first = octets_copy((struct octets){(const uint8_t *)name, 2});
        question->second = octets_copy((struct octets){space, writer_length(&writer)});
        backend_carry_out(&sim.backend, question);
        oracle_carried_out(&sim, question);
        question_free(question);
    }
}

/* In some runs, which take longer. */
static void draw_deaf(void)
{
    struct device *device = &sim.devices[draw_between(&sim.fate, 0, sim.device_count - 1)];
    if (sim.options.calm || !draw_chance(&sim.fate, 125) || device->topics == 0)
        return;
    sim.has_deaf = true;
    device->deaf_ms = draw_between(&sim.fate, SIM_FAULTS_FROM_MS, SIM_DEAF_LATEST_MS);
}

static void begin(const struct sim_options *options)
{
    memset(&sim, 0, sizeof(sim));
    sim.options = *options;
    trace_init(&sim.trace, options->trace);
    draw_entropy_from(options->seed);
    draw_init(&sim.net, options->seed, 1);
    draw_init(&sim.faults, options->seed, 2);
    draw_init(&sim.people, options->seed, 3);
    draw_init(&sim.fate, options->seed, 4);
    draw_octets(&sim.faults, &sim.key, sizeof(sim.key));
    sim.backend.broken = options->broken;
    oracle_init(&sim.oracle);
    sim.device_count = draw_between(&sim.people, 4, SIM_DEVICES_MAX);
    weather_init(&sim, !options->calm);
    for (size_t i = 0; i < sim.device_count; i++)
        device_init(&sim.devices[i], &sim, i);
    draw_deaf();
    device_store_identities(&sim);
    draw_cluster();
    fill_topics();
    for (size_t i = 0; i < SIM_NODES; i++)
        node_init(&sim.nodes[i], &sim, i);
    for (size_t i = 0; i < SIM_NODES; i++)
        node_start(&sim.nodes[i]);
    for (size_t i = 0; i < SIM_LBS; i++)
        balancer_start(&sim.balancers[i], &sim, i);
}

static void end(void)
{
    for (size_t i = 0; i < sim.device_count; i++)
        device_free(&sim.devices[i]);
    for (size_t i = 0; i < SIM_NODES; i++)
        node_free(&sim.nodes[i]);
    for (size_t i = 0; i < SIM_LBS; i++)
        balancer_stop(&sim.balancers[i]);
    steps_free(&sim.steps);
    oracle_free(&sim.oracle);
    backend_free(&sim.backend);
}

/* True: the queue may free it. */
static bool carry_out(struct step *step)
{
    switch (step->kind) {
    case STEP_DEVICE_TURN:
    case STEP_DEVICE_DATAGRAM:
        device_step(&sim.devices[step->to], step);
        return true;
    case STEP_LB_TURN:
    case STEP_LB_DATAGRAM:
    case STEP_LB_REPLY:
    case STEP_LB_PONG:
        balancer_step(&sim.balancers[step->to], step);
        return true;
    case STEP_WORKER_START:
    case STEP_WORKER_TURN:
    case STEP_WORKER_DATAGRAM:
    case STEP_WORKER_PING:
        return !node_step(&sim.nodes[step->to], step);
    case STEP_STORE_QUESTION:
        store_link_arrive(&sim, step);
        return true;
    case STEP_STORE_ANSWER:
        if (step->to < SIM_NODES)
            return !node_step(&sim.nodes[step->to], step);
        balancer_step(&sim.balancers[step->to - SIM_NODES], step);
        return true;
    case STEP_FAULT:
        weather_step(&sim, step);
        return true;
    }
    return true;
}

static void calm_down(void)
{
    trace_line(&sim.trace, sim.now_ms, "the faults are over");
    sim.is_calm = true;
    weather_clear(&sim);
    for (size_t i = 0; i < sim.device_count; i++)
        device_calm(&sim.devices[i]);
}

/* Whether all that is to be seen in calm weather was seen; and what was due and was not. */
static bool is_done(void)
{
    bool is_complete = true;
    for (size_t i = 0; i < sim.device_count; i++) {
        const struct device *device = &sim.devices[i];
        if (device_is_deaf(device))
            continue;
        uint64_t bound_ms = device->was_connected ? SIM_ANSWER_BOUND_MS : SIM_HANDSHAKE_BOUND_MS;
        bool is_late = sim.now_ms > device->spoken_ms + bound_ms;
        if (is_late && !device->is_quiet && device->calm_answers == 0)
            return true; /* oracle_end says so */
        is_complete = is_complete && device->calm_answers > 1 && device->calm_changes > 0 &&
                      interest_is_current(device);
    }
    if (is_complete && sim.has_deaf)
        is_complete = sim.now_ms > SIM_DEAF_LATEST_MS && oracle_find_told(&sim) == NULL;
    return is_complete;
}

struct sim_result sim_run(const struct sim_options *options)
{
    log_set_level(LOG_ERROR);
    begin(options);
    uint64_t end_ms = sim.has_deaf ? SIM_CALM_MS + SIM_DEAF_BOUND_MS : SIM_END_MS;
    struct step *step;
    while (sim.result.violated == INVARIANT_NONE && (step = steps_take(&sim.steps))) {
        sim.now_ms = step->due_ms;
        if (!sim.is_calm && sim.now_ms > SIM_CALM_MS)
            calm_down();
        if (carry_out(step))
            step_free(step);
        if (sim.now_ms > end_ms || (sim.is_calm && is_done()))
            break;
    }
    if (sim.result.violated == INVARIANT_NONE)
        oracle_end(&sim);
    sim.result.events = sim.backend.log_count;
    sim.result.fingerprint = sim.trace.fingerprint;
    end();
    return sim.result;
}
