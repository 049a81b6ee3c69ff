/* The table of resources. Of rows that fit a path the first counts. */
#include "worker/coap_endpoint.h"
#include "worker/core_link.h"
#include "worker/echo.h"
#include "worker/events.h"
#include "worker/represent.h"
#include "worker/tstun.h"
#include "worker/whoami.h"

const struct resource coap_resources[] = {
    {.path = "/tstun",
     .type = "tstun",
     .plain = true,
     .handlers = {[CODE_GET] = tstun_get},
     .produces = REPRESENT_FORMATS},
    {.path = "/whoami",
     .type = "whoami",
     .handlers = {[CODE_GET] = whoami_get},
     .produces = REPRESENT_FORMATS},
    {.path = "/echo", .type = "echo", .plain = true, .handlers = {[CODE_POST] = echo_post}},
    {.path = "/events", .type = "events", .changes = true, .handlers = {[CODE_POST] = events_post}},
    {.path = "/.well-known/core",
     .plain = true,
     .unlisted = true,
     .handlers = {[CODE_GET] = core_link_get},
     .produces = {{FORMAT_LINK}, 1}},
};
const size_t coap_resource_count = sizeof coap_resources / sizeof *coap_resources;
