#include "bench/workload.h"

#include <stdio.h>
#include <string.h>

const char *const workload_names[] = {
    [WORKLOAD_HANDSHAKE] = "handshake", [WORKLOAD_GET] = "get",       [WORKLOAD_POST] = "post",
    [WORKLOAD_ECHO] = "echo",           [WORKLOAD_EVENTS] = "events", [WORKLOAD_REBIND] = "rebind",
    [WORKLOAD_RECONNECT] = "reconnect", [WORKLOAD_MIX] = "mix",       [WORKLOADS] = NULL,
};

/* Of ten requests of a device: mostly telemetry, as fleets do. */
static const enum operation mix[] = {
    OPERATION_EVENT, OPERATION_ECHO, OPERATION_GET,   OPERATION_EVENT, OPERATION_POST,
    OPERATION_EVENT, OPERATION_ECHO, OPERATION_EVENT, OPERATION_GET,   OPERATION_EVENT,
};
#define MIX_COUNT (sizeof(mix) / sizeof(mix[0]))
#define MIX_REBIND_EVERY 20

enum operation workload_operation(enum workload workload, uint32_t device, uint32_t number)
{
    switch (workload) {
    case WORKLOAD_GET:
        return OPERATION_GET;
    case WORKLOAD_POST:
        return OPERATION_POST;
    case WORKLOAD_EVENTS:
        return OPERATION_EVENT;
    case WORKLOAD_MIX:
        /* Devices are out of step, so that the mix is the same at any moment. */
        return mix[((uint64_t)device + number) % MIX_COUNT];
    case WORKLOAD_HANDSHAKE:
    case WORKLOAD_ECHO:
    case WORKLOAD_REBIND:
    case WORKLOAD_RECONNECT:
    case WORKLOADS:
        break;
    }
    return OPERATION_ECHO;
}

const char *workload_path(enum operation operation)
{
    switch (operation) {
    case OPERATION_GET:
        return "tstun";
    case OPERATION_EVENT:
        return "events";
    case OPERATION_POST:
    case OPERATION_ECHO:
        break;
    }
    return "echo";
}

bool workload_rebinds(enum workload workload, uint32_t device, uint32_t number, uint64_t every)
{
    if (workload != WORKLOAD_REBIND && workload != WORKLOAD_MIX)
        return false;
    if (every == 0)
        every = workload == WORKLOAD_MIX ? MIX_REBIND_EVERY : 1;
    return number > 0 && ((uint64_t)device + number) % every == 0;
}

size_t workload_payload(enum operation operation, uint64_t run, uint32_t device, uint32_t number,
                        size_t length, uint8_t space[WORKLOAD_PAYLOAD_MAX])
{
    char name[WORKLOAD_EVENT_MIN + 2];
    switch (operation) {
    case OPERATION_GET:
        return 0;
    case OPERATION_POST:
    case OPERATION_ECHO:
        /* Differs from one request to the next: a reply to another one shows. */
        for (size_t i = 0; i < length; i++)
            space[i] = (uint8_t)('a' + (device + number + i) % 26);
        return length;
    case OPERATION_EVENT:
        break;
    }
    (void)snprintf(name, sizeof(name), "%016llx-%08x-%07x", (unsigned long long)run, device,
                   number & 0xfffffff);
    if (length < WORKLOAD_EVENT_MIN)
        length = WORKLOAD_EVENT_MIN;
    memset(space, '.', length);
    memcpy(space, name, WORKLOAD_EVENT_MIN);
    return length;
}

uint64_t pace_due_us(const struct pace *pace)
{
    if (pace->rate == 0)
        return UINT64_MAX;
    return pace->start_us + pace->taken / pace->rate * 1000000 +
           pace->taken % pace->rate * 1000000 / pace->rate;
}

bool pace_take(struct pace *pace, uint64_t now_us, uint64_t *due_us)
{
    uint64_t next_us = pace_due_us(pace);
    if (next_us > now_us)
        return false;
    pace->taken++;
    *due_us = next_us;
    return true;
}
