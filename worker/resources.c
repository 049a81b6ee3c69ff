/* The table of resources. Of rows that fit a path the first counts. */
#include "worker/coap_endpoint.h"
#include "worker/core_link.h"
#include "worker/echo.h"
#include "worker/events.h"
#include "worker/plugtest.h"
#include "worker/ps.h"
#include "worker/represent.h"
#include "worker/tstun.h"
#include "worker/whoami.h"

/* With its handlers of GET, POST, PUT and DELETE. */
#define PLUGTEST(name, get, post, put, delete, ...)      \
    {                                                    \
        .path = (name), .plain = true, .plugtest = true, \
        .handlers = {[CODE_GET] = (get),                 \
                     [CODE_POST] = (post),               \
                     [CODE_PUT] = (put),                 \
                     [CODE_DELETE] = (delete)},          \
        __VA_ARGS__                                      \
    }

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
    {.path = "/events",
     .type = "events",
     .changes = true,
     .handlers = {[CODE_POST] = events_post},
     .body_max = EVENT_PAYLOAD_MAX},
    {.path = "/ps",
     .type = "core.ps core.ps.coll",
     .defers = true,
     .handlers = {[CODE_GET] = ps_list, [CODE_POST] = ps_create},
     .consumes = {{FORMAT_PUBSUB_CBOR, FORMAT_CBOR}, 2}},
    {.path = "/ps",
     .type = "core.ps.data",
     .prefix = true,
     .unlisted = true,
     .observable = true,
     .defers = true,
     .handlers = {[CODE_GET] = ps_read, [CODE_PUT] = ps_publish, [CODE_DELETE] = ps_remove},
     .judges_conditions = true},
    PLUGTEST("/test", plugtest_get, plugtest_create, plugtest_put, plugtest_delete,
             .state = plugtest_state, .type = "Type1"),
    PLUGTEST("/validate", plugtest_get, NULL, plugtest_put, NULL, .state = plugtest_state),
    PLUGTEST("/create1", plugtest_get, NULL, plugtest_put, plugtest_delete,
             .state = plugtest_state),
    PLUGTEST("/location1/location2/location3", plugtest_get, NULL, plugtest_put, plugtest_delete,
             .state = plugtest_state),
    PLUGTEST("/seg1/seg2/seg3", plugtest_text, NULL, NULL, NULL),
    PLUGTEST("/query", plugtest_query, NULL, NULL, NULL),
    PLUGTEST("/location-query", plugtest_query, plugtest_create_query, NULL, NULL),
    PLUGTEST("/multi-format", plugtest_formats, NULL, NULL, NULL,
             .produces = {{FORMAT_TEXT, FORMAT_XML}, 2}),
    PLUGTEST("/separate", plugtest_separate, NULL, NULL, NULL, .defers = true),
    PLUGTEST("/large", plugtest_large, NULL, NULL, NULL, .size = PLUGTEST_LARGE_SIZE),
    PLUGTEST("/large-update", plugtest_get, NULL, plugtest_put, NULL, .state = plugtest_state,
             .size = PLUGTEST_VALUE_MAX, .body_max = PLUGTEST_VALUE_MAX),
    PLUGTEST("/large-create", NULL, plugtest_large_create, NULL, NULL,
             .body_max = PLUGTEST_VALUE_MAX),
    PLUGTEST("/large-create", plugtest_large_created, NULL, NULL, plugtest_large_remove,
             .state = plugtest_state, .prefix = true, .unlisted = true),
    PLUGTEST("/large-post", NULL, plugtest_large_post, NULL, NULL),
    PLUGTEST("/large-separate", plugtest_separate, NULL, NULL, NULL, .defers = true,
             .size = PLUGTEST_LARGE_SIZE),
    PLUGTEST("/obs", plugtest_observed, NULL, plugtest_observed_put, plugtest_observed_delete,
             .state = plugtest_state, .observable = true),
    PLUGTEST("/obs-non", plugtest_observed, NULL, plugtest_observed_put, plugtest_observed_delete,
             .state = plugtest_state, .observable = true),
    PLUGTEST("/obs-large", plugtest_observed, NULL, NULL, NULL, .observable = true,
             .size = PLUGTEST_LARGE_SIZE),
    PLUGTEST("/obs-pumping", plugtest_observed, NULL, plugtest_observed_put, NULL,
             .state = plugtest_state, .observable = true),
    PLUGTEST("/obs-reset", NULL, plugtest_forget, NULL, NULL),
    PLUGTEST("/link1", plugtest_text, NULL, NULL, NULL, .type = "Type1 Type2", .interface = "If1"),
    PLUGTEST("/link2", plugtest_text, NULL, NULL, NULL, .type = "Type2 Type3", .interface = "If2"),
    PLUGTEST("/link3", plugtest_text, NULL, NULL, NULL, .type = "Type1 Type3", .interface = "foo"),
    PLUGTEST("/path", plugtest_path, NULL, NULL, NULL, .produces = {{FORMAT_LINK}, 1}),
    PLUGTEST("/path", plugtest_below, NULL, NULL, NULL, .prefix = true, .unlisted = true),
    {.path = "/.well-known/core",
     .plain = true,
     .unlisted = true,
     .handlers = {[CODE_GET] = core_link_get},
     .produces = {{FORMAT_LINK}, 1}},
};
const size_t coap_resource_count = sizeof coap_resources / sizeof *coap_resources;
